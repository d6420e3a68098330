//! A TCP link on which everything takes a while: as between a balancer and a gateway in another place.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use gateway::http::drain::{Drain, DrainPhase, DrainingListener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The link. It ends when this is dropped; connections that are open go on.
pub struct Delay {
    address: SocketAddr,
    target: SocketAddr,
    delay: Duration,
    listening: Option<(watch::Sender<DrainPhase>, JoinHandle<()>)>,
}

impl Delay {
    /// From `address` to `target`, so long each way.
    pub async fn start(address: SocketAddr, target: SocketAddr, delay: Duration) -> Self {
        let mut link = Self { address, target, delay, listening: None };
        link.open().await;
        link
    }

    /// Takes connections.
    pub async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (phase, drain) = Drain::new();
        // One that was opened before the end must not be reset.
        let mut arrivals = DrainingListener::new(listener, &drain);
        let (target, delay) = (self.target, self.delay);
        let listening = tokio::spawn(async move {
            while let Some(accepted) = arrivals.accept().await {
                tokio::spawn(join(accepted.unwrap().0, target, delay));
            }
        });
        self.listening = Some((phase, listening));
    }

    /// Takes no more, as a balancer does that has seen the drain; what is open goes on.
    pub async fn close(&mut self) {
        if let Some((phase, listening)) = self.listening.take() {
            phase.send_replace(DrainPhase::Close);
            listening.await.unwrap();
        }
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        if let Some((_, listening)) = &self.listening {
            listening.abort();
        }
    }
}

async fn join(near: TcpStream, target: SocketAddr, delay: Duration) {
    let Ok(far) = TcpStream::connect(target).await else {
        // As a port without a listener: a reset.
        let _ = socket2::SockRef::from(&near).set_linger(Some(Duration::ZERO));
        return;
    };
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap();
    }
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    for (mut from, mut to) in [(near_read, far_write), (far_read, near_write)] {
        let (sender, mut receiver): (UnboundedSender<Piece>, UnboundedReceiver<Piece>) = unbounded_channel();
        tokio::spawn(async move {
            let mut piece = vec![0; 16 * 1024];
            loop {
                let read = from.read(&mut piece).await.unwrap_or(0);
                // Nothing is the end, which takes as long.
                let sent = sender.send((Instant::now() + delay, piece[..read].to_vec()));
                if read == 0 || sent.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Some((due, piece)) = receiver.recv().await {
                tokio::time::sleep_until(due).await;
                if piece.is_empty() {
                    let _ = to.shutdown().await;
                } else if to.write_all(&piece).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Bytes, and when they arrive.
type Piece = (Instant, Vec<u8>);

/// Free ports of 127.0.0.1, below those that the kernel gives to clients: they stay free while a program is started again.
pub fn free_addresses(count: usize) -> VecDeque<SocketAddr> {
    let mut found = VecDeque::new();
    while found.len() < count {
        let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_000)));
        if !found.contains(&address) && std::net::TcpListener::bind(address).is_ok() {
            found.push_back(address);
        }
    }
    found
}
