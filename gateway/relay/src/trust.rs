//! Which certificates are trusted: those that the system trusts, and those of `--ca-file`.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::failure::{Failure, causes};

/// The TLS of all connections.
///
/// # Errors
///
/// The file has no certificate, or the system's can't be read.
pub(crate) fn tls(ca_file: Option<&Path>) -> Result<ClientConfig, Failure> {
    let broken = |error: rustls::Error| Failure::Outside(format!("TLS can't be set up: {error}"));
    let extra = ca_file.map_or(Ok(Vec::new()), authorities)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra, provider.clone()).map_err(broken)?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(broken)?
        .dangerous() // the name of the method; the verifier is the system's
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |error: String| Failure::Usage(format!("--ca-file {}: {error}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(causes(&error)))?;
    if certificates.is_empty() {
        return Err(wrong("has no certificate: PEM is expected".to_owned()));
    }
    Ok(certificates)
}
