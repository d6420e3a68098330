//! The settings of a listener: TLS, proxies and caps apply before the first request.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::http::connection_caps::{CapExceeded, ConnectionCaps, ConnectionPermit};
use crate::http::peer::{Peer, TrustedProxies};
use crate::http::tls::Tls;

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

impl ListenerSettings {
    /// Counts a connection from this peer.
    pub(super) fn count_connection(&self, peer: &Peer) -> Result<ConnectionPermit, CapExceeded> {
        let mut open = self.caps.open()?;
        count(&mut open, peer)?;
        Ok(open)
    }
}

/// Counts a connection for its client, except a trusted proxy: it has many clients.
pub(super) fn count(open: &mut ConnectionPermit, peer: &Peer) -> Result<(), CapExceeded> {
    if peer.is_trusted() { Ok(()) } else { open.count_for(peer.address()) }
}

/// A connection that has just been accepted.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// Its remote end: a client or a proxy.
    pub(super) peer: Peer,
    /// Its permit under the caps.
    pub(super) open: ConnectionPermit,
    /// Refused connections of this worker that still get their response.
    pub(super) turned_away: Rc<Cell<usize>>,
}
