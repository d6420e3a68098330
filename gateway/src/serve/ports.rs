//! Binds the ports of a gateway before any work starts, so that their addresses are final.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::config::ServeConfig;
use crate::http::bind::bind;
use crate::serve::Addresses;
use crate::terminal::CommandError;

/// The bound listeners.
pub(super) struct Ports {
    /// For the public API, one for each worker.
    pub(super) public: Vec<TcpListener>,
    /// For the ops listener.
    pub(super) ops: TcpListener,
}

impl Ports {
    /// Binds them, and returns their addresses.
    pub(super) fn bind(config: &ServeConfig) -> Result<(Self, Addresses), CommandError> {
        let taken = |what, address: SocketAddr| {
            move |e: io::Error| CommandError::Outside(format!("can't listen on {address} ({what}): {e}"))
        };
        let public = bind(config.listen, config.workers).map_err(taken("--listen", config.listen))?;
        let ops = bind(config.ops_listen, 1)
            .map_err(taken("--ops-listen", config.ops_listen))?
            .pop()
            .ok_or_else(|| CommandError::Outside("no ops listener".into()))?;
        let public_address = public.first().map_or(Ok(config.listen), TcpListener::local_addr)?;
        let addresses = Addresses { public: public_address, ops: ops.local_addr()? };
        Ok((Self { public, ops }, addresses))
    }
}
