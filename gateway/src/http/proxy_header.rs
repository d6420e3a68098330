//! The PROXY protocol, version 2: the client address that a TCP proxy sends before any other byte.
//!
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>, section 2.2.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX, Protocol};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Signature, version and command, family and protocol, length.
const FIXED_BYTES: usize = 16;
/// What may follow: addresses take 12 to 216 bytes, extensions (certificate names, ids of cloud endpoints) some
/// hundreds.
const REST_BYTES_MAX: usize = 2_048;

/// Reads exactly one header: the client's address, or `None` for the proxy's own connection (health
/// checks) or an unknown family. The caller sets the deadline.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    let mut bytes = vec![0; FIXED_BYTES];
    stream.read_exact(&mut bytes).await?;
    if !bytes.starts_with(PROTOCOL_PREFIX) {
        return Err(refused("no PROXY header of version 2"));
    }
    let rest = usize::from(u16::from_be_bytes([bytes[FIXED_BYTES - 2], bytes[FIXED_BYTES - 1]]));
    if rest > REST_BYTES_MAX {
        return Err(refused("a PROXY header that is too long"));
    }
    bytes.resize(FIXED_BYTES + rest, 0);
    stream.read_exact(&mut bytes[FIXED_BYTES..]).await?;
    let header = Header::try_from(&bytes[..]).map_err(refused)?;
    if header.command == Command::Local {
        return Ok(None);
    }
    match header.addresses {
        // This connection is TCP, so a header about datagrams can't describe it.
        _ if header.protocol == Protocol::Datagram => Err(refused("a PROXY header about datagrams")),
        Addresses::IPv4(addresses) => Ok(Some(addresses.source_address.into())),
        Addresses::IPv6(addresses) => Ok(Some(addresses.source_address.into())),
        Addresses::Unspecified | Addresses::Unix(_) => Ok(None),
    }
}

fn refused(reason: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests;
