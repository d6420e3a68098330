//! Reads the options of the connection to Redis: address, credentials, TLS.

use std::path::Path;

use crate::config::{Settings, TlsFiles, read_chain};
use crate::http::tls::check_pair;
use crate::identify::{read_limited, warn_if_shared};
use crate::store::address::check;
use crate::store::dial::{Access, Redis, SentinelUser};
use crate::store::durability::Durability;

/// No real password is longer.
const PASSWORD_FILE_BYTES_MAX: u64 = 4 * 1024;

impl Settings {
    pub(super) fn redis_option(&mut self) -> Option<Redis> {
        let connect = self.millis("redis-connect-timeout-ms", 10..=60_000);
        let answer = self.millis("redis-answer-timeout-ms", 10..=60_000);
        let durability = self.read("durability", Durability::parse).unwrap_or_default();
        let authorities = self.read("redis-ca-file", authorities).flatten();
        let client = self.tls_files("redis-cert-file", "redis-key-file");
        let client = client.and_then(|files| self.read("redis-cert-file", |_| client_pair(&files)));
        let access = Access { authorities, client, sentinel: self.sentinel_user() };
        let redis = self.read("redis", |url| {
            check(url)?;
            Redis::with_access(url, &access, connect, answer).map_err(|e| {
                format!(
                    "is not a Redis URL (redis://HOST:PORT, rediss://HOST:PORT, unix:PATH, \
                     redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, redis+cluster://HOST:PORT,HOST:PORT): {e}"
                )
            })
        });
        Some(redis?.with_durability(durability))
    }

    /// The credentials for sentinels.
    fn sentinel_user(&mut self) -> Option<SentinelUser> {
        let (username, password) = (self.given("sentinel-username"), self.given("sentinel-password"));
        let from_file = match self.path("sentinel-password-file") {
            Some(path) => Some(self.read("sentinel-password-file", |_| password_in(&path))?),
            None => None,
        };
        let (key, problem) = match (&username, &password, &from_file) {
            (_, Some(_), Some(_)) => {
                ("sentinel-password", "is given besides --sentinel-password-file; leave one of them out")
            }
            (Some(_), None, None) => (
                "sentinel-username",
                "needs --sentinel-password-file, or the password in LAUNCHGATE_SENTINEL_PASSWORD",
            ),
            (_, None, None) => return None,
            _ if !self.text("redis").contains("+sentinel://") => (
                "sentinel-password",
                "--redis names no sentinels; leave it out, or give --redis redis+sentinel://HOST:PORT,HOST:PORT/SERVICE",
            ),
            _ => return password.or(from_file).map(|password| SentinelUser { username, password }),
        };
        self.problem(key, problem);
        None
    }
}

/// The certificates in a PEM file; none where no file is named.
fn authorities(path: &str) -> Result<Option<Vec<u8>>, String> {
    if path.is_empty() {
        return Ok(None);
    }
    read_chain(Path::new(path))?;
    std::fs::read(path).map(Some).map_err(|error| error.to_string())
}

/// A certificate and its key, in PEM.
type Pair = (Vec<u8>, Vec<u8>);

/// The gateway's own certificate and its key, checked to match.
fn client_pair(files: &TlsFiles) -> Result<Pair, String> {
    check_pair(files).map_err(|problems| problems.join("; "))?;
    let read = |path: &Path| std::fs::read(path).map_err(|error| error.to_string());
    Ok((read(&files.cert)?, read(&files.key)?))
}

/// The password in a file, without the end of its line.
fn password_in(path: &Path) -> Result<String, String> {
    let (bytes, metadata) = read_limited(path, "sentinel password file", PASSWORD_FILE_BYTES_MAX)?;
    warn_if_shared(path, "the sentinel password file", &metadata);
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("is an empty file; it must hold the password".to_owned());
    }
    Ok(password.to_owned())
}
