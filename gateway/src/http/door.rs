//! What connections come through before their first request: TLS, proxies, caps.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::http::connection_caps::{ConnectionCaps, Open, Over};
use crate::http::peer::{Peer, TrustedProxies};
use crate::http::tls::Tls;

/// What connections come through before their first request.
#[derive(Clone, Default)]
pub struct Door {
    /// With TLS; without, in plain text.
    pub tls: Option<Arc<Tls>>,
    /// Whose word on who the client is counts.
    pub proxies: TrustedProxies,
    /// Every connection comes from one of them, and begins with a PROXY header.
    pub proxy_protocol: bool,
    /// How many may be open.
    pub caps: Arc<ConnectionCaps>,
}

impl Door {
    /// A place for one more connection from there.
    pub(super) fn open(&self, peer: &Peer) -> Result<Open, Over> {
        let mut open = self.caps.open()?;
        count(&mut open, peer)?;
        Ok(open)
    }
}

/// Counts a connection for its client, unless that is a trusted proxy: those have many clients.
pub(super) fn count(open: &mut Open, peer: &Peer) -> Result<(), Over> {
    if peer.is_trusted() { Ok(()) } else { open.count_for(peer.address()) }
}

/// A connection that has just been accepted.
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// Its other end: a client or a proxy.
    pub(super) peer: Peer,
    /// Its place under the caps.
    pub(super) open: Open,
    /// Those of this worker over a cap that still get their answer.
    pub(super) turned_away: Rc<Cell<usize>>,
}
