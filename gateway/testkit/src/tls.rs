//! Certificates of a test's own, and clients that trust them: TLS of any version, HTTP/1.1 and HTTP/2 on it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::definition::apply;
use crate::eventually;
use crate::gateway::{Client, Reply, token};

/// A certificate for `localhost` and its key, in files that can be replaced.
pub struct Certificate {
    dir: tempfile::TempDir,
    /// Servers with it ask clients for a certificate.
    asks_clients: bool,
}

impl Certificate {
    /// A new one in files of its own.
    pub fn new() -> (Self, CertificateDer<'static>) {
        let files = Self::empty();
        let issued = files.issue();
        (files, issued)
    }

    /// One that ends on this day, and what trusts it.
    pub fn ending_on(day: jiff::civil::Date) -> (Self, CertificateDer<'static>) {
        let files = Self::empty();
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        let part = |part: i8| u8::try_from(part).unwrap();
        params.not_after = rcgen::date_time_ymd(day.year().into(), part(day.month()), part(day.day()));
        let key = rcgen::KeyPair::generate().unwrap();
        let new = params.self_signed(&key).unwrap();
        files.write(&new, &key);
        (files, new.der().clone())
    }

    /// One for Redis on this machine, which trusts it itself.
    pub fn of_redis() -> Self {
        let files = Self::empty();
        files.issue_for(&["127.0.0.1", crate::cluster::HOST]);
        files
    }

    fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), asks_clients: false }
    }

    /// First the certificate and then the key.
    fn write(&self, cert: &rcgen::Certificate, key: &rcgen::KeyPair) {
        replace(self.cert(), &cert.pem());
        replace(self.key(), &key.serialize_pem());
    }

    /// Likewise, and Redis asks clients for a certificate that is signed by it.
    pub fn of_strict_redis() -> Self {
        Self { asks_clients: true, ..Self::of_redis() }
    }

    /// Options of a redis-server or a sentinel with it, but for the port.
    pub fn redis_options(&self) -> Vec<String> {
        let (cert, key) = (self.cert().display().to_string(), self.key().display().to_string());
        let options = [
            ("--tls-cert-file", cert.as_str()),
            ("--tls-key-file", &key),
            ("--tls-ca-cert-file", &cert),
            ("--tls-auth-clients", if self.asks_clients { "yes" } else { "no" }),
            ("--tls-replication", "yes"),
        ];
        options.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]).collect()
    }

    pub fn cert(&self) -> PathBuf {
        self.dir.path().join("cert.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Replaces it by a new one, first the certificate and then the key.
    pub fn issue(&self) -> CertificateDer<'static> {
        self.issue_for(&["localhost"])
    }

    fn issue_for(&self, names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let new = rcgen::generate_simple_self_signed(names).unwrap();
        self.write(&new.cert, &new.signing_key);
        new.cert.der().clone()
    }

    /// Options for a listener: prefix `""` or `"ops-"`.
    pub fn options(&self, prefix: &str) -> Vec<String> {
        vec![
            format!("--{prefix}tls-cert-file"),
            self.cert().display().to_string(),
            format!("--{prefix}tls-key-file"),
            self.key().display().to_string(),
        ]
    }
}

/// Replaces a file atomically, like tools that renew certificates.
fn replace(path: PathBuf, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// A client of these protocols, which trusts these certificates.
pub fn client(
    trusted: &[CertificateDer<'static>],
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|cert| roots.add(cert.clone()).unwrap());
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A client that speaks HTTP/2 on TLS 1.3.
pub fn h2_client(trusted: &CertificateDer<'static>) -> Arc<ClientConfig> {
    client(std::slice::from_ref(trusted), &[&version::TLS13], &["h2"])
}

/// Connects to `http://HOST:PORT`, which really speaks TLS.
pub async fn connect(url: &str, client: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await?;
    stream.set_nodelay(true)?;
    handshake(stream, client).await
}

/// The handshake on a connection that is there.
pub async fn handshake(stream: TcpStream, client: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(client.clone()).connect(name, stream).await
}

/// A connection of HTTP/2.
pub struct H2(http2::SendRequest<Full<Bytes>>);

impl H2 {
    pub async fn connect(url: &str, client: &Arc<ClientConfig>) -> Self {
        let stream = connect(url, client).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    /// Sends a request; what breaks on the way is status 0.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        reply(self.0.clone().send_request(request).await).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(get(path)).await
    }
}

/// One request of HTTP/1.1 on a connection of its own.
pub async fn once(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Reply {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let reply = reply(sender.send_request(request).await).await;
    drop(sender);
    let _ = connection.await;
    reply
}

/// A `GET`.
pub fn get(path: &str) -> Request<Full<Bytes>> {
    let uri = format!("https://localhost{path}");
    Request::get(uri).header("host", "localhost").body(Full::default()).unwrap()
}

/// A call by a buyer with a JSON body.
pub fn call(
    method: &str,
    path: &str,
    sub: &str,
    key: &str,
    body: &serde_json::Value,
) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("https://localhost{path}"))
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", token(sub)))
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

async fn reply(response: hyper::Result<hyper::Response<hyper::body::Incoming>>) -> Reply {
    let read = async {
        let response = response?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Reply::new(status, headers, String::from_utf8_lossy(&body).into_owned()))
    };
    read.await.unwrap_or_else(Reply::broken)
}

/// Opens `small`, or a similar sale, on a gateway with TLS on its public listener.
pub async fn open(gateway: &Client, h2: &H2, definition: &serde_json::Value) {
    let applied = apply(gateway, definition).await;
    assert_eq!(applied.status, 200, "{}", applied.text);
    eventually("the sale is known", || async {
        (h2.get("/v1/sales/small").await.status == 200).then_some(())
    })
    .await;
}
