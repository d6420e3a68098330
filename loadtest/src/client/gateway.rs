//! Opens connections to one gateway.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::client::causes;
use crate::client::link::{Broken, Link, Stream};
use crate::client::transport::Resolve;

/// A gateway's address, and how it is reached.
pub(super) struct Gateway {
    /// As it was given.
    pub(super) base: String,
    /// What its requests have as `Host`.
    pub(super) host: String,
    number: usize,
    name: String,
    port: u16,
    /// From `--resolve`, in place of the name's addresses.
    given: Vec<IpAddr>,
    /// The name's addresses, and when they were looked up.
    found: Mutex<Option<(Instant, Vec<SocketAddr>)>>,
    /// Connections are spread over a name's addresses.
    next: AtomicUsize,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    is_http2: bool,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Ten thousand connections of an opening must not ask for the name ten thousand times, and a soak of hours must see
/// that it has moved.
const FOUND_FOR: Duration = Duration::from_secs(10);
/// HTTP/2's name in ALPN.
const HTTP2: &[u8] = b"h2";

impl Gateway {
    /// `base` is `http://HOST:PORT` or `https://HOST:PORT`; `None` where it is not.
    pub(super) fn new(
        base: String,
        number: usize,
        tls: &ClientConfig,
        is_http2: bool,
        resolve: &[Resolve],
    ) -> Option<Gateway> {
        let uri: Uri = base.parse().ok()?;
        let host = uri.authority()?.as_str().to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let name = uri.host()?.trim_matches(['[', ']']).to_owned();
        let tls = if is_tls {
            let mut tls = tls.clone();
            // HTTP/2 or nothing: a run in HTTP/1.1 would not be what was asked for.
            tls.alpn_protocols = if is_http2 { vec![HTTP2.to_vec()] } else { Vec::new() };
            Some((TlsConnector::from(std::sync::Arc::new(tls)), ServerName::try_from(name.clone()).ok()?))
        } else {
            None
        };
        let given = resolve.iter().filter(|resolve| resolve.is_of(&name, port));
        let given = given.flat_map(|resolve| resolve.addresses.iter().copied()).collect();
        let (found, next) = (Mutex::default(), AtomicUsize::new(0));
        Some(Gateway { base, host, number, name, port, given, found, next, tls, is_http2 })
    }

    /// Opens a connection, within [`CONNECT_TIMEOUT`].
    pub(super) async fn connect(&self) -> Result<Link, Broken> {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, self.connect_in_time());
        connecting.await.unwrap_or_else(|_| {
            Err(format!("no connection to {} within {} s", self.host, CONNECT_TIMEOUT.as_secs()).into())
        })
    }

    async fn connect_in_time(&self) -> Result<Link, Broken> {
        let tcp = self.dial().await?;
        tcp.set_nodelay(true)?;
        let stream = match &self.tls {
            None => Stream::Plain(tcp),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await.map_err(|error| {
                    let hint = if self.is_http2 { ": does it have HTTP/2? leave out --http2" } else { "" };
                    format!("TLS with {}: {error}{hint}", self.host)
                })?;
                if self.is_http2 && tls.get_ref().1.alpn_protocol() != Some(HTTP2) {
                    return Err(format!(
                        "{} has no HTTP/2: expected h2 in its TLS handshake, found nothing; leave out --http2",
                        self.host
                    )
                    .into());
                }
                Stream::Tls(Box::new(tls))
            }
        };
        if self.is_http2 {
            Link::http2(stream, self.number).await
        } else {
            Ok(Link::http1(stream, self.number))
        }
    }

    /// What may be wrong with HTTP/2 that was not agreed on in a handshake.
    pub(super) fn explain_http2(&self, error: Broken) -> Broken {
        if self.tls.is_some() {
            return error;
        }
        let (host, error) = (&self.host, causes(&*error));
        format!("HTTP/2 by prior knowledge with {host}: {error}: does it have HTTP/2 without TLS? leave out --http2").into()
    }

    /// Each connection begins with the next one of several addresses, and tries the others after it.
    async fn dial(&self) -> Result<TcpStream, Broken> {
        let addresses = self.addresses().await.map_err(|error| format!("look up {}: {error}", self.name))?;
        let first = self.next.fetch_add(1, Relaxed);
        let mut failed = None;
        for n in 0..addresses.len() {
            let address = addresses[(first.wrapping_add(n)) % addresses.len()];
            match TcpStream::connect(address).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => failed = Some(format!("connect to {address}: {error}")),
            }
        }
        Err(failed.unwrap_or_else(|| format!("{} has no address", self.name)).into())
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        let given = || self.given.iter().map(|address| SocketAddr::new(*address, self.port)).collect();
        if !self.given.is_empty() {
            return Ok(given());
        }
        if let Ok(address) = self.name.parse() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, addresses)) = known.filter(|(looked_up, _)| looked_up.elapsed() < FOUND_FOR) {
            return Ok(addresses);
        }
        let addresses: Vec<SocketAddr> = lookup_host((&*self.name, self.port)).await?.collect();
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), addresses.clone()));
        Ok(addresses)
    }
}
