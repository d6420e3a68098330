//! Provides the bench's connections: plain, or TLS with the bench's own certificate.

use std::io::{Error, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, DEFAULT_VERSIONS, StreamOwned};
use testkit::{Failed, tls};

/// The name in the certificate.
const HOST: &str = "localhost";

/// A client that trusts the certificate in this file, and asks for a protocol.
pub(crate) fn client(cert: &Path, protocol: &str) -> std::result::Result<Arc<ClientConfig>, Failed> {
    let cert = CertificateDer::from_pem_file(cert).map_err(Failed::to("use the certificate"))?;
    Ok(tls::client(&[cert], DEFAULT_VERSIONS, &[protocol]))
}

/// The name that a TLS client expects.
pub(crate) fn host() -> Result<ServerName<'static>> {
    ServerName::try_from(HOST).map_err(Error::other)
}

/// A connection that never blocks.
pub(crate) enum Wire {
    /// Bytes as they are.
    Plain(mio::net::TcpStream),
    /// In TLS.
    Tls(Box<StreamOwned<ClientConnection, mio::net::TcpStream>>),
}

impl Wire {
    /// Connects, and waits for the handshake's end.
    pub(crate) fn connect(address: SocketAddr, client: Option<&Arc<ClientConfig>>) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let session =
            client.map(|client| ClientConnection::new(client.clone(), host()?).map_err(Error::other));
        let mut session = session.transpose()?;
        while let Some(session) = session.as_mut().filter(|session| session.is_handshaking()) {
            session.complete_io(&mut stream)?;
        }
        stream.set_nonblocking(true)?;
        let stream = mio::net::TcpStream::from_std(stream);
        Ok(match session {
            Some(session) => Self::Tls(Box::new(StreamOwned::new(session, stream))),
            None => Self::Plain(stream),
        })
    }

    /// What is to be watched.
    pub(crate) fn socket(&mut self) -> &mut mio::net::TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// Whether there is certainly no more, because so many bytes were read of so many that were asked for. In TLS the
    /// next record may be there.
    pub(crate) fn is_drained(&self, read: usize, asked: usize) -> bool {
        matches!(self, Self::Plain(_)) && read < asked
    }
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
