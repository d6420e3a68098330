//! The table of all options, and the command line that is made of it: flag, variable, default and help text.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

/// An option, which is a flag, a variable and a key of the file.
pub struct ConfigOption {
    scope: OptionScope,
    /// The key, which is also the flag.
    pub key: &'static str,
    /// The variable.
    pub variable: &'static str,
    value_name: &'static str,
    /// The default; `""`: none.
    pub default: &'static str,
    help: &'static str,
}

/// The commands that have an option.
#[derive(PartialEq)]
enum OptionScope {
    /// Every command that uses Redis.
    Common,
    /// Those that need all options of a gateway.
    Serve,
}

/// Rows of scope, key, variable, name of the value, and default, each below its help text.
macro_rules! options {
    ($($(#[doc = $help:literal])+ $scope:ident($key:literal, $variable:literal, $value:literal, $default:literal),)+) => {
        &[$(ConfigOption {
            scope: OptionScope::$scope,
            key: $key,
            variable: $variable,
            value_name: $value,
            default: $default,
            help: concat!($($help),+),
        }),+]
    };
}

/// All options, in the order of `gateway config`.
pub const OPTIONS: &[ConfigOption] = options![
    /// The address of the public listener
    Serve("listen", "LAUNCHGATE_LISTEN", "ADDR", "127.0.0.1:8080"),
    /// The address of the ops listener: health, metrics and admin calls
    Serve("ops-listen", "LAUNCHGATE_OPS_LISTEN", "ADDR", "127.0.0.1:9090"),
    /// The certificate of the public listener and its chain, PEM; with it the listener speaks TLS only,
    /// HTTP/2 included; reloaded when it changes
    Serve("tls-cert-file", "LAUNCHGATE_TLS_CERT_FILE", "FILE", ""),
    /// The certificate's private key, PEM
    Serve("tls-key-file", "LAUNCHGATE_TLS_KEY_FILE", "FILE", ""),
    /// Proxies in front of the public listener, addresses or networks, separated by commas: their
    /// `Forwarded` or `X-Forwarded-For` header names the client
    Serve("trusted-proxies", "LAUNCHGATE_TRUSTED_PROXIES", "LIST", ""),
    /// Whether all connections of apps come from trusted proxies and begin with a header of the PROXY
    /// protocol, version 2
    Serve("proxy-protocol", "LAUNCHGATE_PROXY_PROTOCOL", "BOOL", "false"),
    /// Addresses or networks of payment and order services, separated by commas: no limit by address
    /// applies to them
    Serve("service-addresses", "LAUNCHGATE_SERVICE_ADDRESSES", "LIST", ""),
    /// The certificate of the ops listener and its chain, PEM; reloaded when it changes
    Serve("ops-tls-cert-file", "LAUNCHGATE_OPS_TLS_CERT_FILE", "FILE", ""),
    /// The private key of the ops listener's certificate, PEM
    Serve("ops-tls-key-file", "LAUNCHGATE_OPS_TLS_KEY_FILE", "FILE", ""),
    /// Host names of the ops listener, separated by commas; its addresses and localhost are always
    /// accepted, any other name only for /livez, /readyz and /metrics
    Serve("ops-host", "LAUNCHGATE_OPS_HOST", "NAMES", ""),
    /// Whether the ops listener may be in plain text beyond loopback, where its tokens can be read in transit
    Serve("ops-plain-text", "LAUNCHGATE_OPS_PLAIN_TEXT", "BOOL", "false"),
    /// The ledger: redis://HOST:PORT, rediss://HOST:PORT (TLS), unix:PATH,
    /// redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, or redis+cluster://HOST:PORT,HOST:PORT; the latter
    /// two also with rediss. Put a password into the variable or the file, not on the command line
    Common("redis", "LAUNCHGATE_REDIS", "URL", "redis://127.0.0.1:6379"),
    /// CA certificates (PEM) that verify Redis and sentinels; left out: the public authorities
    Common("redis-ca-file", "LAUNCHGATE_REDIS_CA_FILE", "FILE", ""),
    /// The gateway's client certificate and its chain, PEM, for a Redis and sentinels that require one;
    /// read at the start
    Common("redis-cert-file", "LAUNCHGATE_REDIS_CERT_FILE", "FILE", ""),
    /// The private key of that certificate, PEM
    Common("redis-key-file", "LAUNCHGATE_REDIS_KEY_FILE", "FILE", ""),
    /// The user for sentinels; left out: `default`, or none without a password. The user in the URL is
    /// for Redis
    Common("sentinel-username", "LAUNCHGATE_SENTINEL_USERNAME", "NAME", ""),
    /// The password for sentinels. Put it into the variable or the file, not on the command line
    Common("sentinel-password", "LAUNCHGATE_SENTINEL_PASSWORD", "TEXT", ""),
    /// A file with the password for sentinels
    Common("sentinel-password-file", "LAUNCHGATE_SENTINEL_PASSWORD_FILE", "FILE", ""),
    /// Timeout of a connection to Redis, in ms
    Common("redis-connect-timeout-ms", "LAUNCHGATE_REDIS_CONNECT_TIMEOUT_MS", "MS", "1000"),
    /// Timeout of a reply of Redis, in ms; after it the outcome is unknown
    Common("redis-answer-timeout-ms", "LAUNCHGATE_REDIS_ANSWER_TIMEOUT_MS", "MS", "1000"),
    /// The durability that a change needs before it is acknowledged: none, aof, fsync or replicas=N
    Common("durability", "LAUNCHGATE_DURABILITY", "LEVEL", "none"),
    /// A file with the secret of HS256 tokens, at least 32 bytes
    Serve("auth-secret-file", "LAUNCHGATE_AUTH_SECRET_FILE", "FILE", ""),
    /// Instead of a secret: a JWKS file with ES256, EdDSA or RS256 keys; reloaded when it changes
    Serve("auth-jwks-file", "LAUNCHGATE_AUTH_JWKS_FILE", "FILE", ""),
    /// The key ids of the JWKS that may sign the scope `service`, separated by commas
    Serve("auth-service-key-ids", "LAUNCHGATE_AUTH_SERVICE_KEY_IDS", "KIDS", ""),
    /// The required `iss` of every token
    Serve("auth-issuer", "LAUNCHGATE_AUTH_ISSUER", "TEXT", ""),
    /// A value that `aud` of every token must contain
    Serve("auth-audience", "LAUNCHGATE_AUTH_AUDIENCE", "TEXT", ""),
    /// The tolerated clock difference to the signers of tokens, in s, at most 60
    Serve("auth-leeway", "LAUNCHGATE_AUTH_LEEWAY", "S", "5s"),
    /// A file with lines of `NAME TOKEN [ROLE]`, the users of the ops listener; ROLE is operate
    /// (everything; the default), watch (reads only) or feed (the journal only); reloaded when it changes
    Serve("ops-token-file", "LAUNCHGATE_OPS_TOKEN_FILE", "FILE", ""),
    /// Worker threads, each with a connection to Redis; 0: one for each core
    Serve("workers", "LAUNCHGATE_WORKERS", "N", "0"),
    /// Open connections of the public listener, of the whole process; more get 503 and are closed, with
    /// TLS they are only closed
    Serve("connections-max", "LAUNCHGATE_CONNECTIONS_MAX", "N", "10000"),
    /// Of these, open connections of one client address (IPv6: one /64), or off; left out: a tenth of
    /// connections-max, at least 100. Trusted proxies are exempt; with the PROXY protocol the client that
    /// it names is counted
    Serve("connections-per-address-max", "LAUNCHGATE_CONNECTIONS_PER_ADDRESS_MAX", "N", ""),
    /// Taps in one script call, at most
    Serve("batch-max", "LAUNCHGATE_BATCH_MAX", "N", "256"),
    /// Taps that wait for a batch, for each sale and worker; more get 503
    Serve("queue-max", "LAUNCHGATE_QUEUE_MAX", "N", "8192"),
    /// Largest wait of a tap until it is sent to the ledger, in ms; a tap is shed with 503 at once when
    /// its predicted wait exceeds half of it
    Serve("queue-delay-max-ms", "LAUNCHGATE_QUEUE_DELAY_MAX_MS", "MS", "200"),
    /// In-flight permits: requests that ask the ledger at the same time; each worker has an equal share,
    /// and more get 503. 10 % are reserved for calls on existing reservations
    Serve("in-flight-max", "LAUNCHGATE_IN_FLIGHT_MAX", "N", "10000"),
    /// Rate limit of one buyer: units a second, units at once; or off
    Serve("limit-buyer", "LAUNCHGATE_LIMIT_BUYER", "RATE:BURST", "20:100"),
    /// Rate limit for calls without a token per client address (IPv6: one /64)
    Serve("limit-address", "LAUNCHGATE_LIMIT_ADDRESS", "RATE:BURST", "2000:20000"),
    /// Rate limit for invalid tokens per client address; beyond it, tokens that were never valid before
    /// share one limit for all addresses together (HS256: no limit)
    Serve("limit-unverified", "LAUNCHGATE_LIMIT_UNVERIFIED", "RATE:BURST", "1000:10000"),
    /// Rate limit for new reservations of one sale, all live gateways together: reservations a second,
    /// reservations at once, whatever they cost; or off
    Serve("limit-sale", "LAUNCHGATE_LIMIT_SALE", "RATE:BURST", "off"),
    /// Rate limit for all calls but those of services, all live gateways together
    Serve("limit-gateway", "LAUNCHGATE_LIMIT_GATEWAY", "RATE:BURST", "off"),
    /// Buyers, and addresses, with a bucket of their own at the same time. Three tables of 18.3 bytes for each
    Serve("limit-keys-max", "LAUNCHGATE_LIMIT_KEYS_MAX", "N", "1000000"),
    /// Units of a new reservation; the limit of a sale counts reservations instead
    Serve("cost-reserve", "LAUNCHGATE_COST_RESERVE", "N", "5"),
    /// Units of an amendment or a cancellation
    Serve("cost-change", "LAUNCHGATE_COST_CHANGE", "N", "5"),
    /// Units of a read of one's own reservations
    Serve("cost-read", "LAUNCHGATE_COST_READ", "N", "1"),
    /// Units of a call without a token
    Serve("cost-status", "LAUNCHGATE_COST_STATUS", "N", "1"),
    /// Units of an invalid token with a public key's signature
    Serve("cost-unverified", "LAUNCHGATE_COST_UNVERIFIED", "N", "10"),
    /// Time from a tap's arrival to its response, in ms
    Serve("tap-deadline-ms", "LAUNCHGATE_TAP_DEADLINE_MS", "MS", "2000"),
    /// Timeout of a connection's first byte, in ms
    Serve("first-byte-timeout-ms", "LAUNCHGATE_FIRST_BYTE_TIMEOUT_MS", "MS", "10000"),
    /// Timeout of a request's head, and of a client that reads nothing of its response, in ms
    Serve("header-timeout-ms", "LAUNCHGATE_HEADER_TIMEOUT_MS", "MS", "30000"),
    /// Timeout between two requests on a connection, in ms: longer than the load balancer keeps an idle
    /// connection
    Serve("idle-timeout-ms", "LAUNCHGATE_IDLE_TIMEOUT_MS", "MS", "75000"),
    /// The age at which a connection ends with its next response, 1s to 1d, so that new gateways get
    /// traffic; each connection ends at 80 to 100 % of it; or off
    Serve("connection-max-age", "LAUNCHGATE_CONNECTION_MAX_AGE", "DURATION", "off"),
    /// The number of requests at which a connection ends, likewise at 80 to 100 %; or off
    Serve("connection-max-requests", "LAUNCHGATE_CONNECTION_MAX_REQUESTS", "N", "off"),
    /// Timeout of a request's body, in ms
    Serve("body-timeout-ms", "LAUNCHGATE_BODY_TIMEOUT_MS", "MS", "10000"),
    /// Time from "not ready" to the close of the listener after SIGTERM, in ms: as long as the load
    /// balancer needs to notice
    Serve("drain-delay-ms", "LAUNCHGATE_DRAIN_DELAY_MS", "MS", "1000"),
    /// Time from then until open connections are cut, in ms
    Serve("drain-deadline-ms", "LAUNCHGATE_DRAIN_DEADLINE_MS", "MS", "10000"),
    /// Origins whose pages may call the API, separated by commas, as browsers send them:
    /// https://shop.example, capacitor://localhost; https://*.shop.example matches any one label below
    Serve("cors-origins", "LAUNCHGATE_CORS_ORIGINS", "ORIGINS", ""),
    /// Request headers that these pages may send besides those of the API, separated by commas
    Serve("cors-headers", "LAUNCHGATE_CORS_HEADERS", "NAMES", "baggage,sentry-trace,traceparent,tracestate"),
    /// Interval of full audits of every sale, in s
    Serve("audit-interval-s", "LAUNCHGATE_AUDIT_INTERVAL_S", "S", "60"),
    /// Log lines as text or json
    Common("log-format", "LAUNCHGATE_LOG_FORMAT", "FORMAT", "text"),
    /// What to log: error, warn, info, debug, trace, or per module as in "info,gateway::store=debug"
    Common("log-level", "LAUNCHGATE_LOG_LEVEL", "LEVEL", "info"),
];

impl ConfigOption {
    /// The help text.
    pub(super) fn help(&self) -> &'static str {
        self.help.trim_start()
    }

    /// Whether its value can hold a password.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self.key, "redis" | "sentinel-password")
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.key).long(self.key).env(self.variable).value_name(self.value_name);
        let arg =
            arg.help(self.help()).hide_env_values(self.is_secret()).global(self.scope == OptionScope::Common);
        match self.value_name {
            "BOOL" => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            _ => arg,
        }
    }
}

/// Options of every command that uses Redis. Global, so that they may also follow the arguments of
/// `gateway sale`, as in the contract.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonOptions {
    /// A TOML file with options as keys, named like the flags
    #[arg(long, global = true, env = "LAUNCHGATE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The others.
    #[command(flatten)]
    pub given: GivenOptions<true>,
}

/// Options of `gateway serve`.
pub type ServeOptions = GivenOptions<false>;

/// The flags and variables that were given, by key: those of every command, or those of `serve` only.
#[derive(Debug, Clone, Default)]
pub struct GivenOptions<const IS_COMMON: bool>(pub BTreeMap<&'static str, String>);

impl<const IS_COMMON: bool> GivenOptions<IS_COMMON> {
    fn all() -> impl Iterator<Item = &'static ConfigOption> {
        OPTIONS.iter().filter(|option| IS_COMMON == (option.scope == OptionScope::Common))
    }
}

impl<const IS_COMMON: bool> Args for GivenOptions<IS_COMMON> {
    fn augment_args(command: Command) -> Command {
        command.args(Self::all().map(ConfigOption::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const IS_COMMON: bool> FromArgMatches for GivenOptions<IS_COMMON> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given =
            Self::all().filter_map(|option| Some((option.key, matches.get_one(option.key).cloned()?)));
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A URL without its password.
pub(super) fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}***{}", &url[..scheme + 3], &url[at..])
        }
        _ => match url.split_once("?") {
            Some((path, _)) => format!("{path}?***"),
            None => url.to_owned(),
        },
    }
}
