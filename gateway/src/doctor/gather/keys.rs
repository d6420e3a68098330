//! Collects the facts of the files of keys, tokens and certificates. Secrets are measured and dropped.

use std::path::{Path, PathBuf};

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::ServeConfig;
use crate::doctor::keys::{AuthFacts, CertificateFacts, KeyFacts, bits};
use crate::http::tls::{Tls, TlsFiles, read_chain};
use crate::identify::ops_tokens::{self, OpsTokens};
use crate::identify::{TokenKeys, read_secret, shared_mode};

/// Reads them. `host` is the name of the API; `launch` the sale that opens next, and when, in seconds
/// since 1970.
pub(crate) fn read(
    config: &ServeConfig,
    host: Option<&str>,
    launch: Option<(String, i64)>,
    now_s: i64,
) -> KeyFacts {
    let listeners = [("", &config.tls, host), ("ops-", &config.ops_tls, None)];
    let certificates = listeners.iter().filter_map(|(listener, files, host)| {
        let files = files.as_ref()?;
        Some((*listener, Tls::load(files).and_then(|_| certificate(files, *host).map_err(|why| vec![why]))))
    });
    KeyFacts {
        now_s,
        launch,
        auth: auth(config),
        has_operator: OpsTokens::load(&config.ops_token_file).is_ok_and(|tokens| tokens.has_operator()),
        ops: OpsTokens::load(&config.ops_token_file)
            .and_then(|_| ops(&config.ops_token_file).map_err(|why| vec![why])),
        shared: shared(config),
        host: host.map(ToOwned::to_owned),
        certificates: certificates.collect(),
    }
}

fn auth(config: &ServeConfig) -> Result<AuthFacts, Vec<String>> {
    let auth = &config.auth;
    let keys = TokenKeys::load(auth)?;
    if let Some(file) = &auth.secret_file {
        let secret = read_secret(file).map_err(|why| vec![why])?;
        return Ok(AuthFacts::Secret(bits(secret.as_bytes())));
    }
    let ends = |ends: u64| i64::try_from(ends).unwrap_or(i64::MAX);
    Ok(AuthFacts::Jwks {
        keys: keys.ends().into_iter().map(|(kid, end)| (kid, end.map(ends))).collect(),
        services: keys.services(),
        findings: keys.findings(),
        is_bound: auth.issuer.is_some() && auth.audience.is_some(),
    })
}

/// Each name with the bits of its token; `OpsTokens::load` has validated the file.
fn ops(file: &Path) -> Result<Vec<(String, f64)>, String> {
    let (bytes, _) = ops_tokens::read(file)?;
    let entries = ops_tokens::lines(&bytes).filter_map(|(_, entry)| entry);
    Ok(entries.map(|line| (String::from_utf8_lossy(line.name).into_owned(), bits(line.token))).collect())
}

/// Files with secrets that other users may read.
fn shared(config: &ServeConfig) -> Vec<(&'static str, PathBuf, u32)> {
    let key = |files: &Option<TlsFiles>| files.as_ref().map(|files| files.key.clone());
    let secrets = [
        ("auth secret file", config.auth.secret_file.clone()),
        ("ops token file", Some(config.ops_token_file.clone())),
        ("TLS key file", key(&config.tls)),
        ("TLS key file of the ops listener", key(&config.ops_tls)),
    ];
    let open = |(what, path): (&'static str, Option<PathBuf>)| {
        let path = path?;
        let mode = shared_mode(&std::fs::metadata(&path).ok()?)?;
        Some((what, path, mode))
    };
    secrets.into_iter().filter_map(open).collect()
}

fn certificate(files: &TlsFiles, host: Option<&str>) -> Result<CertificateFacts, String> {
    let chain = read_chain(&files.cert)?;
    let first: &CertificateDer<'_> = chain.first().ok_or("no certificate")?;
    let wrong = |e: &dyn std::fmt::Display| format!("certificate {}: {e}", files.cert.display());
    let (_, parsed) = X509Certificate::from_der(first).map_err(|e| wrong(&e))?;
    let names = parsed.subject_alternative_name().map_err(|e| wrong(&e))?;
    let names =
        names.map(|names| names.value.general_names.iter().filter_map(name).collect()).unwrap_or_default();
    let is_for = |host: &str| {
        let name = ServerName::try_from(host.to_owned()).map_err(|e| wrong(&e))?;
        let parsed = ParsedCertificate::try_from(first).map_err(|e| wrong(&e))?;
        Ok::<_, String>((host.to_owned(), verify_server_name(&parsed, &name).is_ok()))
    };
    Ok(CertificateFacts {
        begins: parsed.validity().not_before.timestamp(),
        ends: parsed.validity().not_after.timestamp(),
        names,
        chain: chain.len(),
        is_own_issuer: parsed.issuer() == parsed.subject(),
        host: host.map(is_for).transpose()?,
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).ok().map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).ok().map(|ip| std::net::Ipv6Addr::from(ip).to_string()),
        },
        _ => None,
    }
}
