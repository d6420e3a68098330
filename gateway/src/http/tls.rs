//! TLS of a listener: its settings, and its certificate, which is replaced while the gateway runs.
//!
//! Floods within TLS (key updates, warning alerts, renegotiation) are bounded by rustls, a few of each a
//! connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::identify::{read_limited, warn_if_shared};

/// A chain of a few certificates has some KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// The ALPN protocols (RFC 7301), the preferred first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// HTTP/2's ALPN name.
pub(super) const HTTP2: &[u8] = b"h2";

/// The paths of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, PEM, the server's own certificate first.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// TLS of one listener, shared by its workers.
pub struct Tls {
    files: TlsFiles,
    current: Arc<CurrentCertificate>,
    config: Arc<ServerConfig>,
}

/// The certificate in use. Only it is replaced: session tickets outlive it.
#[derive(Debug)]
struct CurrentCertificate(ArcSwap<Certificate>);

#[derive(Debug)]
struct Certificate {
    digest: [u8; 32],
    /// When the first certificate of the chain expires, in seconds since 1970.
    ends: i64,
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for CurrentCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().key.clone())
    }
}

impl Tls {
    /// Loads the files; the errors name every problem and what to do about it.
    pub fn load(files: &TlsFiles) -> Result<Self, Vec<String>> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let current = Arc::new(CurrentCertificate(ArcSwap::from_pointee(read(files, &provider, true)?)));
        let failed = |e: rustls::Error| vec![format!("TLS can't be set up: {e}")];
        // TLS 1.2 and 1.3 with the provider's suites. No 0-RTT, rustls's default: early data can be
        // replayed (RFC 8446, section 8), and a POST must not be.
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        // Tickets save both sides a signature on resumption, and the server keeps no session state.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(failed)?;
        Ok(Self { files: files.clone(), current, config: Arc::new(config) })
    }

    /// When the certificate in use, or the first of its chain to expire, expires, in seconds since 1970.
    pub fn ends(&self) -> i64 {
        self.current.0.load().ends
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }

    /// Loads the files again and returns whether their content changed. Open connections keep the old
    /// certificate. Invalid files change nothing, and every call returns their problems. Blocks on the
    /// disk: not for a worker's thread.
    pub fn reload_if_changed(&self) -> Result<bool, Vec<String>> {
        let read = read(&self.files, self.config.crypto_provider(), false)?;
        let is_new = read.digest != self.current.0.load().digest;
        if is_new {
            self.current.0.store(Arc::new(read));
        }
        Ok(is_new)
    }
}

/// Checks that a certificate and a key can be used together.
pub(crate) fn check_pair(files: &TlsFiles) -> Result<(), Vec<String>> {
    read(files, &aws_lc_rs::default_provider(), true).map(drop)
}

fn read(files: &TlsFiles, provider: &CryptoProvider, is_first: bool) -> Result<Certificate, Vec<String>> {
    let (chain, key) = match (read_chain(&files.cert), read_key(&files.key, is_first)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => return Err([chain.err(), key.err()].into_iter().flatten().collect()),
    };
    let mut digest = Sha256::new();
    chain.iter().for_each(|cert| digest.update(Sha256::digest(cert)));
    digest.update(Sha256::digest(key.secret_der()));
    let digest = digest.finalize().into();
    let (cert, key_file) = (files.cert.display(), files.key.display());
    let ends = chain.iter().map(|cert| end_of(cert)).min().flatten();
    let ends = ends.ok_or_else(|| {
        vec![format!(
            "certificate file {cert}: holds an entry that is not a valid X.509 certificate; remove it"
        )]
    })?;
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(key) => Ok(Certificate { digest, ends, key: Arc::new(key) }),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(vec![format!(
            "the key {key_file} does not match the certificate {cert}; the server's own certificate must come \
             first in its file, and both must be of one issue"
        )]),
        Err(error) => Err(vec![format!(
            "certificate {cert} with key {key_file}: {error}; the key must be RSA, ECDSA (P-256, P-384, P-521) \
             or Ed25519, the certificate X.509 of version 3"
        )]),
    }
}

/// When a certificate expires, in seconds since 1970.
fn end_of(cert: &[u8]) -> Option<i64> {
    let (_, cert) = X509Certificate::from_der(cert).ok()?;
    Some(cert.validity().not_after.timestamp())
}

/// The certificates of a PEM file.
pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let (bytes, _) = read_limited(path, "certificate file", FILE_BYTES_MAX)?;
    let chain = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
        format!(
            "certificate file {}: holds no certificate; it must have PEM blocks of `BEGIN CERTIFICATE`",
            path.display()
        )
    })
}

fn read_key(path: &Path, is_first: bool) -> Result<PrivateKeyDer<'static>, String> {
    let (bytes, metadata) = read_limited(path, "TLS key file", FILE_BYTES_MAX)?;
    if is_first {
        warn_if_shared(path, "the TLS key file", &metadata);
    }
    // The PEM reader's error can hold a line of the file.
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
        format!(
            "TLS key file {}: holds no private key; it must have one PEM block of `BEGIN PRIVATE KEY`, \
             `BEGIN RSA PRIVATE KEY` or `BEGIN EC PRIVATE KEY`, not encrypted",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests;
