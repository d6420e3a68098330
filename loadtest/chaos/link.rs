//! A link to Redis whose delay can be changed: what comes is handed on that much later, in either direction.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::Failure;

/// What is taken in at once.
const CHUNK: usize = 64 * 1024;
/// Pieces under way in one direction.
const PIECES_MAX: usize = 1_024;

/// The link; it takes no more connections once this is dropped.
pub(crate) struct Link {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the acceptor up.
        let _ = TcpStream::connect(self.address);
    }
}

impl Link {
    /// To a server, without delay.
    pub(crate) fn start(to: SocketAddr) -> Result<Self, Failure> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::outside("a link can't listen"))?;
        let address = listener.local_addr().map_err(Failure::outside("a link has no address"))?;
        let (delay_ms, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (delay, is_over) = (delay_ms.clone(), over.clone());
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(far) = TcpStream::connect(to) else { continue };
                for (from, into) in [(&near, &far), (&far, &near)] {
                    if let (Ok(from), Ok(into)) = (from.try_clone(), into.try_clone()) {
                        way(from, into, delay.clone());
                    }
                }
            }
        });
        Ok(Self { address, delay_ms, over })
    }

    /// From now on.
    pub(crate) fn delay(&self, by: Duration) {
        self.delay_ms.store(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// One direction of one connection: a thread takes in, another hands on.
fn way(mut from: TcpStream, mut into: TcpStream, delay_ms: Arc<AtomicU64>) {
    let _ = from.set_nodelay(true);
    let (send, receive) = mpsc::sync_channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    std::thread::spawn(move || {
        let mut chunk = vec![0; CHUNK];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            let due = Instant::now() + Duration::from_millis(delay_ms.load(Ordering::Relaxed));
            if send.send((due, chunk[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, piece) in receive {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if into.write_all(&piece).is_err() {
                break;
            }
        }
        let _ = into.shutdown(Shutdown::Both);
    });
}
