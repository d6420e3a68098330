//! Reads the options of the gateway from flags, variables, the file and defaults; reports all invalid
//! values at once.

mod limits;
mod options;
mod redis;
pub mod variables;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::{Table, Value};

pub(crate) use limits::ADDRESS_LEAST;
use options::without_password;
pub use options::{CommonOptions, OPTIONS, ServeOptions};

use crate::admit::limits::LimitSettings;
use crate::api::worker::RequestLimits;
use crate::domain::nearest;
use crate::http::connection_caps::CapSettings;
use crate::http::cors::Cors;
use crate::http::peer::{Networks, TrustedProxies};
use crate::http::server::ConnectionLimits;
use crate::http::tls::{TlsFiles, read_chain};
use crate::identify::{AuthSettings, LEEWAY_S_DEFAULT, LEEWAY_S_MAX};
use crate::ops::hosts::OpsHosts;
use crate::store::dial::Redis;
use crate::telemetry::log::LogConfig;

/// The valid options of `serve`.
pub struct ServeConfig {
    /// The public listener.
    pub listen: SocketAddr,
    /// The ops listener.
    pub ops_listen: SocketAddr,
    /// TLS of the public listener.
    pub tls: Option<TlsFiles>,
    /// TLS of the ops listener.
    pub ops_tls: Option<TlsFiles>,
    /// Host names that the ops listener accepts, besides addresses and `localhost`.
    pub ops_hosts: OpsHosts,
    /// Proxies in front of the public listener, whose forwarding headers are trusted.
    pub trusted_proxies: TrustedProxies,
    /// Every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Payment and order services: no limit by address applies to them.
    pub service_addresses: Networks,
    /// The Redis that holds the ledger.
    pub redis: Redis,
    /// Keys that verify tokens.
    pub auth: AuthSettings,
    /// The file of ops tokens.
    pub ops_token_file: PathBuf,
    /// Other files with secrets, with what they are: keys and passwords for Redis, the config file if it has one.
    pub secret_files: Vec<(&'static str, PathBuf)>,
    /// Worker threads.
    pub workers: usize,
    /// The caps of a listener's connections.
    pub caps: CapSettings,
    /// Timeouts of connections.
    pub connections: ConnectionLimits,
    /// Limits of requests.
    pub requests: RequestLimits,
    /// Rate limits.
    pub rates: LimitSettings,
    /// Time between "not ready" and the close of the listener.
    pub drain_delay: Duration,
    /// Time until remaining connections are cut.
    pub drain_deadline: Duration,
    /// Allowed origins and request headers of browsers.
    pub cors: Cors,
    /// Interval of audits.
    pub audit_interval: Duration,
}

/// The options of one run, from all sources. What reads an invalid value notes the problem and goes on with
/// any valid one, so that all problems are reported.
pub struct Settings {
    values: BTreeMap<String, String>,
    /// The file, if it has a password.
    secret_file: Option<PathBuf>,
    problems: Vec<String>,
}

impl Settings {
    /// Merges the defaults, the file above them, and environment and flags (both by clap) above both.
    pub fn new(common: &CommonOptions, serve: Option<&ServeOptions>) -> Self {
        let defaults = OPTIONS.iter().map(|option| (option.key.to_owned(), option.default.to_owned()));
        let mut values = BTreeMap::from_iter(defaults);
        let mut problems = Vec::new();
        let mut secret_file = None;
        if let Some(file) = &common.config {
            match read_file(file) {
                Ok(found) => {
                    secret_file = has_password(&found).then(|| file.clone());
                    for (key, value) in found {
                        match values.get_mut(&key) {
                            Some(known) => *known = plain(value),
                            None => problems.push(format!("{}: unknown option {key:?}", file.display())),
                        }
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        let given = common.given.0.iter().chain(serve.iter().flat_map(|serve| &serve.0));
        values.extend(given.map(|(key, value)| ((*key).to_owned(), value.clone())));
        Self { values, secret_file, problems }
    }

    fn text(&self, key: &str) -> &str {
        self.values.get(key).map_or("", String::as_str)
    }

    /// A text that is given and not empty.
    fn given(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(ToOwned::to_owned)
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.given(key).map(PathBuf::from)
    }

    /// Notes a problem of an option.
    fn problem(&mut self, key: &str, what: &str) {
        let variable = key.to_uppercase().replace('-', "_");
        self.problems.push(format!("--{key} (LAUNCHGATE_{variable}): {what}"));
    }

    fn read<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key);
        let reason = match parse(text) {
            Ok(value) => return Some(value),
            Err(reason) => reason,
        };
        let is_secret = OPTIONS.iter().any(|option| option.key == key && option.is_secret());
        let shown = if is_secret { "the value".to_owned() } else { format!("{text:?}") };
        self.problem(key, &format!("{shown} {reason}"));
        None
    }

    fn number(&mut self, key: &str, range: RangeInclusive<u64>) -> u64 {
        let number = self.read(key, |text| {
            let fits = text.parse().ok().filter(|n| range.contains(n));
            fits.ok_or_else(|| format!("is not a number from {} to {}", range.start(), range.end()))
        });
        number.unwrap_or(*range.start())
    }

    fn millis(&mut self, key: &str, range: RangeInclusive<u64>) -> Duration {
        Duration::from_millis(self.number(key, range))
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, |text| text.parse().map_err(|_| "is neither true nor false".into()))
    }

    fn address(&mut self, key: &str) -> SocketAddr {
        let address =
            |text: &str| text.parse().map_err(|_| "is not a valid address like 127.0.0.1:8080".into());
        self.read(key, address).unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// A list separated by commas.
    fn list<T: Default>(&mut self, key: &str, parse: impl FnOnce(&[String]) -> Result<T, String>) -> T {
        self.read(key, |text| parse(&split(text))).unwrap_or_default()
    }

    /// Both paths of a certificate and its key, or neither.
    fn tls_files(&mut self, cert: &str, key: &str) -> Option<TlsFiles> {
        let (there, missing) = match (self.path(cert), self.path(key)) {
            (Some(cert), Some(key)) => return Some(TlsFiles { cert, key }),
            (None, None) => return None,
            (Some(_), None) => (cert, key),
            (None, Some(_)) => (key, cert),
        };
        self.problem(missing, &format!("is needed with --{there}, or neither of them"));
        None
    }

    /// TLS of the ops listener. Ops tokens and buyers' data pass it, so it must be private.
    fn ops_tls(&mut self, address: SocketAddr) -> Option<TlsFiles> {
        let problems = self.problems.len();
        let files = self.tls_files("ops-tls-cert-file", "ops-tls-key-file");
        // An incomplete pair is reported already.
        let has_tls = files.is_some() || self.problems.len() > problems;
        let is_plain_text_allowed = self.flag("ops-plain-text").unwrap_or(true);
        if !(address.ip().to_canonical().is_loopback() || has_tls || is_plain_text_allowed) {
            let problem = format!(
                "{address} is reachable from other machines, and ops tokens would go \
                 over it in plain text; give it --ops-tls-cert-file and --ops-tls-key-file, let it listen on \
                 127.0.0.1, or give --ops-plain-text if the network is private"
            );
            self.problem("ops-listen", &problem);
        }
        files
    }

    fn proxy_protocol(&mut self) -> bool {
        let is_on = self.flag("proxy-protocol").unwrap_or_default();
        if is_on && split(self.text("trusted-proxies")).is_empty() {
            self.problem("proxy-protocol", "needs --trusted-proxies, the proxies that may name clients");
        }
        is_on
    }

    fn auth(&mut self) -> AuthSettings {
        let leeway_s = self.read("auth-leeway", |text| {
            let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
            seconds.filter(|seconds| *seconds <= LEEWAY_S_MAX).ok_or_else(|| {
                format!("is not a number of seconds from 0 to {LEEWAY_S_MAX}, as in {LEEWAY_S_DEFAULT}s")
            })
        });
        AuthSettings {
            secret_file: self.path("auth-secret-file"),
            jwks_file: self.path("auth-jwks-file"),
            service_key_ids: split(self.text("auth-service-key-ids")),
            issuer: self.given("auth-issuer"),
            audience: self.given("auth-audience"),
            leeway_s: leeway_s.unwrap_or(LEEWAY_S_DEFAULT),
        }
    }

    fn ops_token_file(&mut self) -> PathBuf {
        self.path("ops-token-file").unwrap_or_else(|| {
            self.problem("ops-token-file", "is needed: a file with lines of NAME TOKEN");
            PathBuf::new()
        })
    }

    /// Reads the log options; the other readers report their problems as well.
    pub fn log(&mut self) -> Option<LogConfig> {
        let json = self.read("log-format", |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("is neither text nor json".into()),
        });
        let level = self.read("log-level", |text| {
            text.parse::<tracing_subscriber::filter::Targets>().map(|_| text.to_owned()).map_err(|e| {
                format!("is not a valid log level (error, warn, info, debug, trace, or MODULE=LEVEL): {e}")
            })
        });
        Some(LogConfig { json: json?, level: level? })
    }

    /// Reads the connection options of Redis.
    pub fn redis(mut self) -> Result<Redis, Vec<String>> {
        let redis = self.redis_option();
        self.finish(redis)
    }

    /// Reads the options of `serve`, or returns every problem.
    pub fn serve(mut self) -> Result<ServeConfig, Vec<String>> {
        let [listen, ops_listen] = ["listen", "ops-listen"].map(|key| self.address(key));
        let (tls, ops_tls) = (self.tls_files("tls-cert-file", "tls-key-file"), self.ops_tls(ops_listen));
        let ops_hosts = self.list("ops-host", OpsHosts::parse);
        let trusted_proxies = self.list("trusted-proxies", Networks::parse);
        let proxy_protocol = self.proxy_protocol();
        let service_addresses = self.list("service-addresses", Networks::parse);
        let redis = self.redis_option();
        let (auth, ops_token_file) = (self.auth(), self.ops_token_file());
        let workers = match self.number("workers", 0..=1024) {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => usize::try_from(n).unwrap_or(usize::MAX),
        };
        let secret_files = [
            ("config file", self.secret_file.clone()),
            ("key file for Redis", self.path("redis-key-file")),
            ("sentinel password file", self.path("sentinel-password-file")),
        ];
        let secret_files: Vec<_> =
            secret_files.into_iter().filter_map(|(what, file)| Some((what, file?))).collect();
        let read_others = |redis| ServeConfig {
            listen,
            ops_listen,
            tls,
            ops_tls,
            ops_hosts,
            trusted_proxies,
            proxy_protocol,
            service_addresses,
            redis,
            auth,
            ops_token_file,
            secret_files,
            workers,
            caps: self.caps(),
            connections: self.connections(),
            requests: self.requests(workers),
            rates: self.rates(),
            drain_delay: self.millis("drain-delay-ms", 0..=600_000),
            drain_deadline: self.millis("drain-deadline-ms", 0..=600_000),
            audit_interval: Duration::from_secs(self.number("audit-interval-s", 1..=86_400)),
            cors: Cors::new(
                self.list("cors-origins", Cors::parse_origins),
                self.list("cors-headers", Cors::parse_headers),
            ),
        };
        // Any Redis will do to report the problems of the other options.
        let redis = redis.or_else(|| Redis::new("redis://127.0.0.1", Duration::ZERO, Duration::ZERO).ok());
        let config = redis.map(read_others);
        self.log();
        self.finish(config)
    }

    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<String>> {
        value.filter(|_| self.problems.is_empty()).ok_or(self.problems)
    }

    /// The options in force, as a commented file that `--config` reads.
    pub fn document(self) -> Result<String, Vec<String>> {
        let mut document = String::from(
            "# The options in force. Flags go before LAUNCHGATE_… variables before this file.\n",
        );
        for option in OPTIONS {
            let value = self.text(option.key);
            let shown = match option.key {
                "redis" => without_password(value),
                "sentinel-password" if !value.is_empty() => "***".to_owned(),
                _ => value.to_owned(),
            };
            let comment = if value.is_empty() { "# " } else { "" };
            let default = if option.default.is_empty() { "none" } else { option.default };
            let (key, help) = (option.key, option.help());
            // Writing into a String can't fail.
            let _ = write!(document, "\n# {help}. Default: {default}\n{comment}{key} = {shown:?}\n");
        }
        self.finish(Some(document))
    }
}

/// The file's values by key, or what is wrong with it and where.
fn read_file(file: &Path) -> Result<Table, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        // The one error with a value in it, which may be a password without quotes.
        let is_too_large = error.message().starts_with("invalid type: integer");
        let what = if is_too_large { "a number is too large" } else { error.message() };
        format!("{}:{line}: {what}", file.display())
    })
}

/// Whether a file has a password: its readers can call Redis.
fn has_password(file: &Table) -> bool {
    let is_given = |key: &str| file.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let url = file.get("redis").and_then(Value::as_str).unwrap_or_default();
    is_given("sentinel-password") || without_password(url) != url
}

/// A value of the file as the text that a flag would have.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Array(list) => list.into_iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
}

#[cfg(test)]
mod tests;
