//! A listener: its settings, and what its connections share. TLS, proxies and caps apply before the first request.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http::connection_caps::{CapExceeded, ConnectionCaps, ConnectionPermit};
use crate::http::drain::Drain;
use crate::http::lifetime::Lifetime;
use crate::http::peer::{Peer, TrustedProxies};
use crate::http::server::{Connected, ConnectionLimits};
use crate::http::tls::Tls;
use crate::telemetry::labels::Ended;

/// The settings of a listener.
#[derive(Clone, Default)]
pub struct ListenerSettings {
    /// TLS; `None`: plain text.
    pub tls: Option<Arc<Tls>>,
    /// Proxies whose forwarding headers are trusted.
    pub proxies: TrustedProxies,
    /// Every connection comes from a trusted proxy and begins with a PROXY header.
    pub proxy_protocol: bool,
    /// The connection caps.
    pub caps: Arc<ConnectionCaps>,
}

/// What the connections of one listener and one worker share.
pub(super) struct Listening<H> {
    pub(super) handler: Rc<H>,
    pub(super) limits: ConnectionLimits,
    pub(super) settings: ListenerSettings,
    pub(super) drain: Drain,
    /// Refused connections that still get their response.
    pub(super) turned_away: Cell<usize>,
}

/// A connection that has just been accepted.
pub(super) struct Accepted<H> {
    pub(super) listening: Rc<Listening<H>>,
    pub(super) stream: TcpStream,
    /// Its remote end: a client or a proxy.
    pub(super) peer: Peer,
    /// Its permit under the caps.
    pub(super) open: ConnectionPermit,
}

impl<H> Listening<H> {
    /// Counts a connection from this peer.
    pub(super) fn count_connection(&self, peer: &Peer) -> Result<ConnectionPermit, CapExceeded> {
        let mut open = self.settings.caps.open()?;
        count(&mut open, peer)?;
        Ok(open)
    }

    /// State of a connection whose requests come from this peer.
    pub(super) fn connect(&self, peer: Peer) -> Rc<Connected<H>> {
        let lifetime = Lifetime::new(self.limits.lifetime, self.limits.idle_timeout, self.drain.clone());
        Rc::new(Connected { handler: self.handler.clone(), peer, lifetime })
    }

    /// Waits for the first byte of a connection, before any resources are spent on it; the error is the end of one
    /// without a byte. A byte has precedence over the drain: a request that was sent is answered.
    pub(super) async fn first_byte(
        &self,
        first: impl Future<Output = io::Result<usize>>,
    ) -> Result<(), Ended> {
        let opened = Instant::now();
        tokio::select! {
            biased;
            read = tokio::time::timeout(self.limits.first_byte_timeout, first) => match read {
                Ok(Ok(1..)) => Ok(()),
                // The client closed it.
                Ok(Ok(0) | Err(_)) => Err(Ended::Dropped),
                Err(_) => Err(Ended::NothingSent),
            },
            () = self.drain.closes_unused(opened) => Err(Ended::Stopped),
        }
    }
}

/// Counts a connection for its client, except a trusted proxy: it has many clients.
pub(super) fn count(open: &mut ConnectionPermit, peer: &Peer) -> Result<(), CapExceeded> {
    if peer.is_trusted() { Ok(()) } else { open.count_for(peer.address()) }
}
