//! Collects the facts of the gateway on this host from its own listeners, without sending a token.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// Timeout of a call, and the largest response.
const CALL_MAX: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 64 << 20;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A gateway at the ops address of this configuration.
#[derive(Debug)]
pub(crate) struct RunningGateway {
    pub(crate) version: String,
    /// The digest of its scripts.
    pub(crate) scripts: Option<String>,
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
    let sample =
        |name: &str| metrics.text.lines().find_map(|line| line.strip_prefix(name)?.split_once(['{', ' ']));
    let label = |labels: &str, name: &str| {
        let (_, rest) = labels.split_once(&format!("{name}=\""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    // Any other response is from another program.
    sample("launchgate_ledger_sequence").or(sample("launchgate_requests_total"))?;
    let ready = get(address, tls, "/readyz").await.ok()?;
    let sequences = metrics.text.lines().filter_map(|line| {
        let (labels, value) = line.strip_prefix("launchgate_ledger_sequence{")?.split_once("} ")?;
        Some((label(labels, "sale")?, parse_sample(value)?))
    });
    let sum = |name: &str| {
        let samples = metrics
            .text
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        samples.filter_map(|line| parse_sample(line.rsplit_once(' ')?.1)).sum()
    };
    Some(RunningGateway {
        version: sample("launchgate_build_info")
            .and_then(|(_, rest)| label(rest, "version"))
            .unwrap_or_default(),
        scripts: sample("launchgate_build_info").and_then(|(_, rest)| label(rest, "redis_scripts")),
        not_ready: (ready.status != 200).then(|| ready.text.trim().to_owned()),
        files_max: sample("launchgate_process_max_fds").and_then(|(_, value)| parse_sample(value)),
        sequences: sequences.collect(),
        has_our_certificate: ready.has_our_certificate,
        forwarded_ignored: (sum("launchgate_forwarded_ignored_total"), sum("launchgate_requests_total")),
    })
}

/// A sample's value; some are written as 20000.0.
fn parse_sample(value: &str) -> Option<u64> {
    value.trim().split('.').next()?.parse().ok()
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
        let Some(files) = tls else {
            let (status, text) = call(stream, path).await?;
            return Ok(ProbeResponse { status, text, has_our_certificate: None });
        };
        let look = Arc::new(CertificateProbe::new(
            read_chain(&files.cert).ok().and_then(|mut chain| chain.drain(..).next()),
        ));
        let config = ClientConfig::builder_with_provider(look.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(look.clone())
            .with_no_client_auth();
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (status, text) = call(stream, path).await?;
        Ok(ProbeResponse { status, text, has_our_certificate: Some(look.is_ours.load(Ordering::Relaxed)) })
    })
    .await?
}

async fn call(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    path: &str,
) -> Result<(u16, String), BoxError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
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

/// Accepts any certificate and records whether it is the configured one: no secret is sent to the peer.
#[derive(Debug)]
struct CertificateProbe {
    ours: Option<CertificateDer<'static>>,
    is_ours: AtomicBool,
    provider: Arc<CryptoProvider>,
}

impl CertificateProbe {
    fn new(ours: Option<CertificateDer<'static>>) -> Self {
        Self { ours, is_ours: AtomicBool::new(false), provider: Arc::new(aws_lc_rs::default_provider()) }
    }
}

impl ServerCertVerifier for CertificateProbe {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.is_ours.store(self.ours.as_ref() == Some(shown), Ordering::Relaxed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
