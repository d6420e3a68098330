//! Reads the options of the gateway from flags, variables, the file and defaults; reports all invalid
//! values at once.

mod auth;
mod connections;
mod limits;
mod options;
mod redis;
pub mod variables;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory;
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;

pub(crate) use limits::ADDRESS_LEAST;
pub use options::{CommonOptions, DEFAULTS, ServeOptions};
use options::{Help, without_password};

use crate::admit::limits::LimitSettings;
use crate::api::worker::RequestLimits;
use crate::domain::nearest;
use crate::http::connection_caps::CapSettings;
use crate::http::cors::Cors;
use crate::http::peer::{Networks, TrustedProxies};
use crate::http::server::ConnectionLimits;
use crate::http::tls::{TlsFiles, read_chain};
use crate::identify::AuthSettings;
use crate::ops::hosts::OpsHosts;
use crate::reserve::batch::QueueLimits;
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

/// The options of one run, from all sources.
pub struct Settings {
    figment: Figment,
    problems: Vec<String>,
}

impl Settings {
    /// Merges flags and environment (both by clap), then the file, then the defaults.
    #[must_use]
    pub fn new(common: &CommonOptions, serve: Option<&ServeOptions>) -> Self {
        let mut figment = Figment::new();
        let mut problems = Vec::new();
        for (key, value) in DEFAULTS {
            figment = figment.merge(Serialized::default(key, value));
        }
        if let Some(file) = &common.config {
            let toml = Figment::from(Toml::file_exact(file));
            match toml.extract::<std::collections::BTreeMap<String, Value>>() {
                Ok(found) => {
                    for key in found.keys().filter(|key| !DEFAULTS.iter().any(|(option, _)| option == key)) {
                        problems.push(format!("{}: unknown option {key:?}", file.display()));
                    }
                    figment = figment.merge(toml);
                }
                Err(error) => problems.extend(error.into_iter().map(|e| format!("{}: {e}", file.display()))),
            }
        }
        figment = figment.merge(Serialized::defaults(common));
        if let Some(serve) = serve {
            figment = figment.merge(Serialized::defaults(serve));
        }
        Self { figment, problems }
    }

    fn text(&self, key: &str) -> String {
        fn plain(value: Value) -> String {
            match value {
                Value::String(_, text) => text,
                Value::Num(_, number) => {
                    number.to_i128().map(|n| n.to_string()).unwrap_or_else(|| format!("{number:?}"))
                }
                Value::Bool(_, value) => value.to_string(),
                Value::Array(_, list) => list.into_iter().map(plain).collect::<Vec<_>>().join(","),
                other => format!("{other:?}"),
            }
        }
        self.figment.find_value(key).map(plain).unwrap_or_default()
    }

    fn read<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(key);
        match parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => {
                let variable = key.to_uppercase().replace('-', "_");
                // A URL can hold a password.
                let is_secret = matches!(key, "redis" | "sentinel-password");
                let shown = if is_secret { "the value".to_owned() } else { format!("{text:?}") };
                self.problems.push(format!("--{key} (LAUNCHGATE_{variable}): {shown} {reason}"));
                None
            }
        }
    }

    fn number(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        self.read(key, |text| {
            let fits = text.parse().ok().filter(|n| range.contains(n));
            fits.ok_or_else(|| format!("is not a number from {} to {}", range.start(), range.end()))
        })
    }

    fn millis(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<Duration> {
        self.number(key, range).map(Duration::from_millis)
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.read(key, |text| text.parse().map_err(|_| "is neither true nor false".into()))
    }

    /// Both paths of a certificate and its key, or neither.
    fn tls_files(&mut self, cert: &str, key: &str) -> Option<TlsFiles> {
        match (self.path(cert), self.path(key)) {
            (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
            (None, None) => None,
            (has_cert, _) => {
                let (there, missing) = if has_cert.is_some() { (cert, key) } else { (key, cert) };
                let variable = missing.to_uppercase().replace('-', "_");
                let problem = format!(
                    "--{missing} (LAUNCHGATE_{variable}): is needed with --{there}, or neither of them"
                );
                self.problems.push(problem);
                None
            }
        }
    }

    /// Ops tokens and buyers' data pass the ops listener.
    fn check_ops_is_private(&mut self, ops_listen: Option<SocketAddr>, has_tls: bool) {
        let is_plain_text_allowed = self.flag("ops-plain-text").unwrap_or(true);
        if let Some(address) = ops_listen.filter(|a| !a.ip().to_canonical().is_loopback())
            && !has_tls
            && !is_plain_text_allowed
        {
            self.problems.push(format!(
                "--ops-listen (LAUNCHGATE_OPS_LISTEN): {address} is reachable from other machines, and ops tokens would go \
                 over it in plain text; give it --ops-tls-cert-file and --ops-tls-key-file, let it listen on \
                 127.0.0.1, or give --ops-plain-text if the network is private"
            ));
        }
    }

    fn list(&self, key: &str) -> Vec<String> {
        self.text(key).split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect()
    }

    fn finish<T>(self, value: Option<T>) -> Result<T, Vec<String>> {
        value.filter(|_| self.problems.is_empty()).ok_or(self.problems)
    }

    /// Reads the log options; the other readers report their problems as well.
    pub fn log(&mut self) -> Option<LogConfig> {
        let json = self.read("log-format", |text| match text {
            "text" => Ok(false),
            "json" => Ok(true),
            _ => Err("is neither text nor json".into()),
        });
        let level = self.read("log-level", |text| {
            text.parse::<tracing_subscriber::filter::Targets>()
                .map(|_| text.to_owned())
                .map_err(|e| format!("is not a valid log level: {e}"))
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
        let address =
            |text: &str| text.parse().map_err(|_| "is not a valid address like 127.0.0.1:8080".to_owned());
        let listen = self.read("listen", address);
        let ops_listen = self.read("ops-listen", address);
        let tls = self.tls_files("tls-cert-file", "tls-key-file");
        let problems = self.problems.len();
        let ops_tls = self.tls_files("ops-tls-cert-file", "ops-tls-key-file");
        // An incomplete pair is reported already.
        self.check_ops_is_private(ops_listen, ops_tls.is_some() || self.problems.len() > problems);
        let names = self.list("ops-host");
        let ops_hosts = self.read("ops-host", |_| OpsHosts::parse(&names));
        let (trusted_proxies, proxy_protocol) = (self.networks("trusted-proxies"), self.proxy_protocol());
        let service_addresses = self.networks("service-addresses");
        let redis = self.redis_option();
        let auth = self.auth();
        let ops_token_file = self.path("ops-token-file");
        if ops_token_file.is_none() {
            self.problems.push(
                "--ops-token-file (LAUNCHGATE_OPS_TOKEN_FILE): is needed: a file with lines of NAME TOKEN"
                    .into(),
            );
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = self.number("workers", 0..=1024).map(|n| if n == 0 { cores } else { usize_of(n) });
        let caps = self.caps();
        let connections = self.connections();
        let requests = self.requests(workers);
        let rates = self.rates();
        let drain_delay = self.millis("drain-delay-ms", 0..=600_000);
        let drain_deadline = self.millis("drain-deadline-ms", 0..=600_000);
        let audit_interval = self.number("audit-interval-s", 1..=86_400).map(Duration::from_secs);
        let (origins, headers) = (self.list("cors-origins"), self.list("cors-headers"));
        let origins = self.read("cors-origins", |_| Cors::parse_origins(&origins));
        let headers = self.read("cors-headers", |_| Cors::parse_headers(&headers));
        self.log();
        let config = (|| {
            Some(ServeConfig {
                listen: listen?,
                ops_listen: ops_listen?,
                tls,
                ops_tls,
                ops_hosts: ops_hosts?,
                trusted_proxies: trusted_proxies?,
                proxy_protocol: proxy_protocol?,
                service_addresses: service_addresses?,
                redis: redis?,
                auth,
                ops_token_file: ops_token_file?,
                workers: workers?,
                caps: caps?,
                connections: connections?,
                requests: requests?,
                rates: rates?,
                drain_delay: drain_delay?,
                drain_deadline: drain_deadline?,
                cors: Cors::new(origins?, headers?),
                audit_interval: audit_interval?,
            })
        })();
        self.finish(config)
    }

    fn networks(&mut self, key: &str) -> Option<Networks> {
        let networks = self.list(key);
        self.read(key, |_| Networks::parse(&networks))
    }

    fn proxy_protocol(&mut self) -> Option<bool> {
        let is_on = self.flag("proxy-protocol");
        if is_on == Some(true) && self.list("trusted-proxies").is_empty() {
            self.problems.push(
                "--proxy-protocol (LAUNCHGATE_PROXY_PROTOCOL): needs --trusted-proxies, the proxies that may name clients"
                    .into(),
            );
        }
        is_on
    }

    /// Reads the limits of one worker's requests. All options are read before any is required, to report
    /// every problem.
    fn requests(&mut self, workers: Option<usize>) -> Option<RequestLimits> {
        let batch_max = self.number("batch-max", 1..=1_000);
        let queue_max = self.number("queue-max", 1..=1_000_000);
        let delay_max = self.millis("queue-delay-max-ms", 1..=60_000);
        let in_flight_max = self.number("in-flight-max", 10..=10_000_000);
        let tap_deadline = self.millis("tap-deadline-ms", 10..=60_000);
        let body_timeout = self.millis("body-timeout-ms", 10..=600_000);
        Some(RequestLimits {
            queue: QueueLimits {
                batch_max: usize_of(batch_max?),
                queue_max: usize_of(queue_max?),
                // The queue delay never exceeds the deadline of the tap.
                delay_max: delay_max?.min(tap_deadline?),
            },
            tap_deadline: tap_deadline?,
            in_flight_max: usize_of(in_flight_max?).div_ceil(workers?),
            body_timeout: body_timeout?,
        })
    }

    /// The options in force, as a commented file that `--config` reads.
    pub fn document(self) -> Result<String, Vec<String>> {
        let help = Help::command();
        let mut document = String::from(
            "# The options in force. Flags go before LAUNCHGATE_… variables before this file.\n",
        );
        for (key, default) in DEFAULTS {
            let arg = help.get_arguments().find(|arg| arg.get_long() == Some(key));
            let text = arg.and_then(|arg| arg.get_help()).map(ToString::to_string).unwrap_or_default();
            let value = self.text(key);
            let shown = match *key {
                "redis" => without_password(&value),
                "sentinel-password" if !value.is_empty() => "***".to_owned(),
                _ => value.clone(),
            };
            let comment = if value.is_empty() { "# " } else { "" };
            let default = if default.is_empty() { "none".to_owned() } else { (*default).to_owned() };
            // Writing into a String can't fail.
            let _ = write!(document, "\n# {text}. Default: {default}\n{comment}{key} = {shown:?}\n");
        }
        self.finish(Some(document))
    }
}

fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
