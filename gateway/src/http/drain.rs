//! The phases of a drain, and how a listener ends in it without a connection that is lost.
//!
//! A connection that is being opened while its listener closes is reset, although its client may have sent a request
//! already. So a listener first refuses new handshakes, then accepts all whose handshake is under way, and only then closes.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a connection without a request stays open in a drain, so that a request on its way is answered.
pub(super) const QUIET: Duration = Duration::from_secs(1);
/// What a handshake may still take that began before its listener refused new ones.
const HANDSHAKE_MAX: Duration = Duration::from_millis(300);

/// Where a gateway is on its way to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// Connections come and stay.
    #[default]
    Serve,
    /// Not ready. Connections still come; every answer is the last one of its connection.
    Drain,
    /// Listeners close, and connections without a request.
    Close,
}

/// Follows the phases, for a listener and its connections.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Its version is never marked as seen: whether it has changed is then one atomic load.
    phases: watch::Receiver<DrainPhase>,
}

impl Drain {
    /// A gateway that serves, and what moves it on.
    #[must_use]
    pub fn new() -> (watch::Sender<DrainPhase>, Self) {
        let (sender, phases) = watch::channel(DrainPhase::default());
        (sender, Self { phases })
    }

    /// Whether answers are the last ones of their connections.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !matches!(self.phases.has_changed(), Ok(false))
    }

    /// Waits for a phase, or for the end of the program.
    pub(super) fn reaches(&self, phase: DrainPhase) -> impl Future<Output = ()> + use<> {
        let mut phases = self.phases.clone();
        async move {
            let _ = phases.wait_for(|now| *now >= phase).await;
        }
    }

    /// Waits until a connection that was opened at this instant, and never used, may close.
    pub(super) async fn closes_unused(&self, opened: Instant) {
        self.reaches(DrainPhase::Close).await;
        tokio::time::sleep_until(opened + QUIET).await;
    }
}

/// The connections that come to a listener, to its end.
#[derive(Debug)]
pub struct DrainingListener {
    listener: TcpListener,
    phases: watch::Receiver<DrainPhase>,
    /// Once new handshakes are refused.
    until: Option<Instant>,
}

impl DrainingListener {
    /// Takes them until the drain closes the listener.
    #[must_use]
    pub fn new(listener: TcpListener, drain: &Drain) -> Self {
        Self { listener, phases: drain.phases.clone(), until: None }
    }

    /// The next connection; `None` once there will be no more.
    pub async fn accept(&mut self) -> Option<io::Result<(TcpStream, SocketAddr)>> {
        if self.until.is_none() {
            tokio::select! {
                biased;
                _ = self.phases.wait_for(|now| *now >= DrainPhase::Close) => {}
                accepted = self.listener.accept() => return Some(accepted),
            }
        }
        let until = self.until.unwrap_or_else(|| self.refuse_handshakes());
        // It looks at the socket before the clock, so the last one leaves an empty queue.
        tokio::time::timeout_at(until, self.listener.accept()).await.ok()
    }

    /// The kernel drops a SYN, and the client sends it again a second later, to a port that is closed by then.
    fn refuse_handshakes(&mut self) -> Instant {
        if let Err(error) = SockRef::from(&self.listener).attach_filter(&without_syn()) {
            tracing::debug!(%error, "new handshakes can't be refused before the listener closes");
        }
        *self.until.insert(Instant::now() + HANDSHAKE_MAX)
    }
}

/// A classic BPF program that lets every segment through but one that opens a connection.
fn without_syn() -> [SockFilter; 5] {
    /// `ldb [13]`: the flags of the TCP header, where the packet of a TCP socket begins.
    const LOAD_FLAGS: (u16, u32) = (0x30, 13);
    /// `and #0x12`: SYN and ACK.
    const AND_SYN_ACK: (u16, u32) = (0x54, 0x12);
    /// `jeq #0x02`: SYN alone.
    const IS_SYN: (u16, u32) = (0x15, 0x02);
    /// `ret #k`: how many bytes go through.
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
