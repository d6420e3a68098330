//! A slow link to Redis: a thread that hands on what it gets, each piece a fixed time after it came.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Failure;

/// Between two looks at all connections: what the delay is exact to. It shares its cores with what is measured.
const NAP: Duration = Duration::from_micros(200);
/// What is taken in at once.
const CHUNK: usize = 64 * 1024;

/// The link; it ends with this value.
pub(crate) struct Link {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

impl Link {
    /// To a server, with a delay in each direction.
    pub(crate) fn start(to: SocketAddr, delay: Duration) -> Result<Self, Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        let listener = listener.map_err(Failure::outside("a link can't listen"))?;
        let address = listener.local_addr().map_err(Failure::outside("a link has no address"))?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        std::thread::spawn(move || {
            let (mut ways, mut chunk) = (Vec::new(), vec![0; CHUNK]);
            while !is_over.load(Ordering::Relaxed) {
                if let Ok((near, _)) = listener.accept() {
                    ways.extend(Way::both(near, to, delay).unwrap_or_default());
                }
                ways.retain_mut(|way: &mut Way| way.go_on(&mut chunk).is_ok());
                std::thread::sleep(NAP);
            }
        });
        Ok(Self { address, over })
    }
}

/// One direction of one connection.
struct Way {
    from: TcpStream,
    to: TcpStream,
    delay: Duration,
    /// What came, and when it is handed on.
    under_way: VecDeque<(Instant, Vec<u8>)>,
}

impl Way {
    fn both(near: TcpStream, to: SocketAddr, delay: Duration) -> std::io::Result<Vec<Self>> {
        let far = TcpStream::connect(to)?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
        }
        let way = |from: &TcpStream, to: &TcpStream| {
            std::io::Result::Ok(Self {
                from: from.try_clone()?,
                to: to.try_clone()?,
                delay,
                under_way: VecDeque::new(),
            })
        };
        Ok(vec![way(&near, &far)?, way(&far, &near)?])
    }

    /// Takes what has come, and hands on what is due. An error: the connection is over.
    fn go_on(&mut self, chunk: &mut [u8]) -> std::io::Result<()> {
        loop {
            match self.from.read(chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.under_way.push_back((Instant::now() + self.delay, chunk[..read].to_vec())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        while let Some((due, piece)) = self.under_way.front_mut() {
            if *due > Instant::now() {
                break;
            }
            match self.to.write(piece) {
                Ok(written) if written < piece.len() => {
                    piece.drain(..written);
                }
                Ok(_) => {
                    self.under_way.pop_front();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
