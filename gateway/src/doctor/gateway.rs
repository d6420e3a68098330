//! Collects the facts of the gateway on this host from its own listeners, without sending a token.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::http::tls::{TlsFiles, read_chain};
use crate::store::scripts::{REAL_CLOCK, Scripts};

/// Timeout of a call, and the largest response.
const CALL_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 64 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A gateway at the ops address of this configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningGateway {
    pub(crate) version: String,
    /// Whether it runs the scripts of this binary; `None`: unknown.
    pub(crate) has_our_scripts: Option<bool>,
    /// The reason why it is not ready.
    pub(crate) not_ready: Option<String>,
    /// The limit of its open files.
    pub(crate) files_max: Option<u64>,
    /// The sequence that it has read of each sale.
    pub(crate) sequences: BTreeMap<String, u64>,
    /// Whether it serves the configured certificate; `None`: none is configured.
    pub(crate) has_our_certificate: Option<bool>,
    /// Requests whose Forwarded or X-Forwarded-For it has ignored, and all requests.
    pub(crate) forwarded_ignored: (u64, u64),
}

/// Reads the gateway at the ops address; `None`: none answers there.
pub(crate) async fn at_ops(address: SocketAddr, tls: Option<&TlsFiles>) -> Option<RunningGateway> {
    let metrics = get(address, tls, "/metrics").await.ok()?;
    let samples: Vec<Sample<'_>> = metrics.text.lines().filter_map(Sample::parse).collect();
    let all = |name: &'static str| samples.iter().filter(move |sample| sample.name == name);
    // Any other response is from another program.
    all("launchgate_ledger_sequence").chain(all("launchgate_requests_total")).next()?;
    let ready = get(address, tls, "/readyz").await.ok()?;
    let info = |label| all("launchgate_build_info").next().and_then(|info| info.label(label));
    let sum = |name| all(name).filter_map(Sample::number).sum();
    let sequences = all("launchgate_ledger_sequence");
    Some(RunningGateway {
        version: info("version").unwrap_or_default(),
        has_our_scripts: info("redis_scripts").map(|digest| digest == Scripts::new(REAL_CLOCK).digest()),
        not_ready: (ready.status != 200).then(|| ready.text.trim().to_owned()),
        files_max: all("launchgate_process_max_fds").next().and_then(Sample::number),
        sequences: sequences.filter_map(|sample| Some((sample.label("sale")?, sample.number()?))).collect(),
        has_our_certificate: ready.has_our_certificate,
        forwarded_ignored: (sum("launchgate_forwarded_ignored_total"), sum("launchgate_requests_total")),
    })
}

/// A line of the metrics.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: &'a str,
}

impl<'a> Sample<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        Some(Self { name, labels, value })
    }

    fn label(&self, name: &str) -> Option<String> {
        let (_, rest) = self.labels.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    }

    /// Its value; some are written as 20000.0.
    fn number(&self) -> Option<u64> {
        self.value.split('.').next()?.parse().ok()
    }
}

/// Whether a gateway answers on the public address.
pub(crate) async fn at_public(address: SocketAddr, tls: Option<&TlsFiles>) -> bool {
    get(address, tls, "/v1/time").await.is_ok_and(|answer| answer.text.contains("\"server_time\""))
}

struct ProbeResponse {
    status: u16,
    text: String,
    has_our_certificate: Option<bool>,
}

async fn get(address: SocketAddr, tls: Option<&TlsFiles>, path: &str) -> Result<ProbeResponse, BoxError> {
    tokio::time::timeout(CALL_MAX, async {
        let stream = TcpStream::connect(reachable(address)).await?;
        let Some(files) = tls else { return call(stream, path, None).await };
        let verifier = Arc::new(AnyCertificate(Arc::new(aws_lc_rs::default_provider())));
        let config = ClientConfig::builder_with_provider(verifier.0.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let is_ours = read_chain(&files.cert).is_ok_and(|chain| chain.first() == shown);
        call(stream, path, Some(is_ours)).await
    })
    .await?
}

async fn call(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
    has_our_certificate: Option<bool>,
) -> Result<ProbeResponse, BoxError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await?.to_bytes();
    Ok(ProbeResponse { status, text: String::from_utf8(body.to_vec())?, has_our_certificate })
}

/// The loopback address for an unspecified one, else the address itself.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Accepts any certificate whose key the peer has: no secret is sent to it.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
