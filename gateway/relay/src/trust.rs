//! Which certificates are trusted: those that the system trusts, and those of `--ca-file`.
//!
//! The load test includes this file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls_platform_verifier::Verifier;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TrustError {
    #[error("--ca-file {}: {error}", file.display())]
    Unread { file: PathBuf, error: PemError },
    #[error("--ca-file {}: has no certificate: PEM is expected", .0.display())]
    Empty(PathBuf),
    #[error(
        "TLS can't be set up: {0}; where this system has no certificates of authorities, install ca-certificates or name \
         yours with --ca-file"
    )]
    Outside(#[from] rustls::Error),
}

/// The TLS of all connections.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let extra = ca_file.map_or(Ok(Vec::new()), authorities)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone())?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous() // the name of the method; the verifier is the system's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| TrustError::Unread { file: path.to_owned(), error })?;
    if certificates.is_empty() {
        return Err(TrustError::Empty(path.to_owned()));
    }
    Ok(certificates)
}
