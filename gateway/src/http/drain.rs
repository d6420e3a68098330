//! The phases of a drain, and the orderly close of a listener.
//!
//! A connection in its handshake is reset when its listener closes, though its client may have sent a
//! request. So a listener first refuses new handshakes, then accepts every connection whose handshake has
//! begun, and only then closes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a connection without a request stays open in a drain, so that a request in transit is answered.
pub(super) const QUIET: Duration = Duration::from_secs(1);
/// The time for handshakes that began before the listener refused new ones.
const HANDSHAKE_MAX: Duration = Duration::from_millis(300);

/// The phases of a drain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Connections are accepted and kept open.
    #[default]
    Serve,
    /// Not ready. Connections are still accepted; every response is the last one of its connection.
    Drain,
    /// Listeners close, and connections without a request.
    Close,
}

/// A view of the phase, for a listener and its connections.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Its version is never marked as seen, so that a check for a change is one atomic load.
    phases: watch::Receiver<DrainPhase>,
}

impl Drain {
    /// The sender of phases and their view.
    pub fn new() -> (watch::Sender<DrainPhase>, Self) {
        let (sender, phases) = watch::channel(DrainPhase::default());
        (sender, Self { phases })
    }

    /// Whether each response is the last one of its connection.
    pub fn has_begun(&self) -> bool {
        !matches!(self.phases.has_changed(), Ok(false))
    }

    /// Waits until the drain begins.
    pub fn begins(&self) -> impl Future<Output = ()> + use<> {
        self.reaches(DrainPhase::Drain)
    }

    /// Waits until this phase is reached, or pends until the process ends.
    pub(super) fn reaches(&self, phase: DrainPhase) -> impl Future<Output = ()> + use<> {
        let mut phases = self.phases.clone();
        async move {
            let _ = phases.wait_for(|now| *now >= phase).await;
        }
    }

    /// Waits until a connection that was opened at this instant and never used may close.
    pub(super) async fn closes_unused(&self, opened: Instant) {
        self.reaches(DrainPhase::Close).await;
        tokio::time::sleep_until(opened + QUIET).await;
    }
}

/// Accepts the connections of a listener until it closes.
#[derive(Debug)]
pub struct DrainingListener {
    listener: TcpListener,
    phases: watch::Receiver<DrainPhase>,
    /// Set once new handshakes are refused.
    until: Option<Instant>,
}

impl DrainingListener {
    /// Accepts connections until the drain closes the listener.
    pub fn new(listener: TcpListener, drain: &Drain) -> Self {
        Self { listener, phases: drain.phases.clone(), until: None }
    }

    /// The next connection; `None` after the last one.
    pub async fn accept(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        if self.until.is_none() {
            tokio::select! {
                biased;
                _ = self.phases.wait_for(|now| *now >= DrainPhase::Close) => {}
                accepted = self.listener.accept() => return Some(accepted),
            }
        }
        let until = self.until.unwrap_or_else(|| self.refuse_handshakes());
        // The timeout polls the socket before the clock, so no connection stays in the queue.
        tokio::time::timeout_at(until, self.listener.accept()).await.ok()
    }

    /// The kernel drops a SYN; the client repeats it a second later, when the port is closed.
    fn refuse_handshakes(&mut self) -> Instant {
        if let Err(error) = SockRef::from(&self.listener).attach_filter(&without_syn()) {
            tracing::debug!(%error, "new handshakes can't be refused before the listener closes");
        }
        *self.until.insert(Instant::now() + HANDSHAKE_MAX)
    }
}

/// A classic BPF program that drops only segments that open a connection.
fn without_syn() -> [SockFilter; 5] {
    /// `ldb [13]`: the flags of the TCP header, where the packet of a TCP socket begins.
    const LOAD_FLAGS: (u16, u32) = (0x30, 13);
    /// `and #0x12`: SYN and ACK.
    const AND_SYN_ACK: (u16, u32) = (0x54, 0x12);
    /// `jeq #0x02`: SYN alone.
    const IS_SYN: (u16, u32) = (0x15, 0x02);
    /// `ret #k`: how many bytes pass.
    const RETURN: u16 = 0x06;
    let plain = |(code, k): (u16, u32)| SockFilter::new(code, 0, 0, k);
    [
        plain(LOAD_FLAGS),
        plain(AND_SYN_ACK),
        SockFilter::new(IS_SYN.0, 0, 1, IS_SYN.1),
        plain((RETURN, 0)),
        plain((RETURN, u32::MAX)),
    ]
}

#[cfg(test)]
mod tests;
