//! What connections come through before their first request: TLS, proxies, caps.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::http::connection_caps::{CapExceeded, ConnectionCaps, ConnectionPermit};
use crate::http::peer::{Peer, TrustedProxies};
use crate::http::tls::Tls;

/// What connections come through before their first request.
#[derive(Clone, Default)]
pub struct ListenerSettings {
    /// With TLS; without, in plain text.
    pub tls: Option<Arc<Tls>>,
    /// Whose word on who the client is counts.
    pub proxies: TrustedProxies,
    /// Every connection comes from one of them, and begins with a PROXY header.
    pub proxy_protocol: bool,
    /// How many may be open.
    pub caps: Arc<ConnectionCaps>,
}

impl ListenerSettings {
    /// A place for one more connection from there.
    pub(super) fn count_connection(&self, peer: &Peer) -> Result<ConnectionPermit, CapExceeded> {
        let mut open = self.caps.open()?;
        count(&mut open, peer)?;
        Ok(open)
    }
}

/// Counts a connection for its client, unless that is a trusted proxy: those have many clients.
pub(super) fn count(open: &mut ConnectionPermit, peer: &Peer) -> Result<(), CapExceeded> {
    if peer.is_trusted() { Ok(()) } else { open.count_for(peer.address()) }
}

/// A connection that has just been accepted.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// Its other end: a client or a proxy.
    pub(super) peer: Peer,
    /// Its place under the caps.
    pub(super) open: ConnectionPermit,
    /// Those of this worker over a cap that still get their answer.
    pub(super) turned_away: Rc<Cell<usize>>,
}
