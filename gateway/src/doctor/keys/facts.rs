//! The facts of the files of keys, tokens and certificates. Secrets are measured and dropped.

use std::path::{Path, PathBuf};

use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::ServeConfig;
use crate::http::tls::{Tls, TlsFiles, read_chain};
use crate::identify::ops_tokens::{self, OpsTokens};
use crate::identify::{TokenKeys, read_secret, shared_mode};

/// The facts of keys, tokens and certificates.
#[derive(Debug)]
pub(in crate::doctor) struct KeyFacts {
    /// Seconds since 1970.
    pub now_s: i64,
    /// The sale that opens next, and when.
    pub launch: Option<(String, i64)>,
    /// The keys of tokens, or why they can't be used.
    pub auth: Result<AuthFacts, Vec<String>>,
    /// Names in the ops token file with the bits of their tokens, or why the file can't be used.
    pub ops: Result<Vec<(String, f64)>, Vec<String>>,
    /// Whether any of these tokens has the role `operate`.
    pub has_operator: bool,
    /// Files that other users may read: kind, path, mode.
    pub shared: Vec<(&'static str, PathBuf, u32)>,
    /// The host name of the API, if it was given.
    pub host: Option<String>,
    /// Of each listener with TLS: the option's prefix, and its certificate or why it can't be used.
    pub certificates: Vec<(&'static str, Result<CertificateFacts, Vec<String>>)>,
}

/// The keys that verify tokens.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::doctor) enum AuthFacts {
    /// A shared secret with this many bits.
    Secret(f64),
    /// Public keys.
    Jwks {
        /// Each key's id, and its expiry.
        keys: Vec<(String, Option<i64>)>,
        /// How many of them may sign for a service.
        services: usize,
        /// Invalid keys of the set, and listed service keys that are missing.
        findings: Vec<String>,
        /// Whether tokens need one issuer and one audience.
        is_bound: bool,
    },
}

/// A certificate and its chain.
#[derive(Debug, Clone)]
pub(in crate::doctor) struct CertificateFacts {
    /// Start of validity, in seconds since 1970.
    pub begins: i64,
    /// Expiry, in seconds since 1970.
    pub ends: i64,
    /// The host names.
    pub names: Vec<String>,
    /// Certificates in the file.
    pub chain: usize,
    /// Whether it is self-signed.
    pub is_own_issuer: bool,
    /// The host name of the API, and whether the certificate is valid for it.
    pub host: Option<(String, bool)>,
}

/// A bound of the secret's bits, if every character was drawn from those that occur.
pub(super) fn bits(secret: &[u8]) -> f64 {
    let mut seen = [false; 256];
    secret.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let kinds = u32::try_from(seen.iter().filter(|is| **is).count()).unwrap_or(1);
    let length = u32::try_from(secret.len()).unwrap_or(u32::MAX);
    f64::from(kinds.max(1)).log2() * f64::from(length)
}

impl KeyFacts {
    /// Reads them. `host` is the name of the API; `launch` the sale that opens next, and when, in seconds
    /// since 1970.
    pub(in crate::doctor) fn read(
        config: &ServeConfig,
        host: Option<&str>,
        launch: Option<(String, i64)>,
        now_s: i64,
    ) -> KeyFacts {
        let listeners = [("", &config.tls, host), ("ops-", &config.ops_tls, None)];
        let certificates = listeners.iter().filter_map(|(listener, files, host)| {
            let files = files.as_ref()?;
            Some((
                *listener,
                Tls::load(files).and_then(|_| certificate(files, *host).map_err(|why| vec![why])),
            ))
        });
        Self {
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
    let others = config.secret_files.iter().map(|(what, path)| (*what, Some(path.clone())));
    let open = |(what, path): (&'static str, Option<PathBuf>)| {
        let path = path?;
        let mode = shared_mode(&std::fs::metadata(&path).ok()?)?;
        Some((what, path, mode))
    };
    secrets.into_iter().chain(others).filter_map(open).collect()
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
