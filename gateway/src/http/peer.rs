//! Who is at the other end of a connection.

use std::net::IpAddr;

use hyper::http::request::Parts;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
}

impl Peer {
    /// The client whose request this is.
    #[must_use]
    pub fn client(&self, _parts: &Parts) -> IpAddr {
        self.address
    }
}
