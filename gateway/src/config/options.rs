//! The options as clap arguments: flag, variable and help text.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

/// Options of every command that uses Redis. Global, so that they may also follow the arguments of
/// `gateway sale`, as in the contract.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CommonOptions {
    /// A TOML file with options as keys, named like the flags
    #[arg(long, global = true, env = "LAUNCHGATE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The ledger: redis://HOST:PORT, rediss://HOST:PORT (TLS), unix:PATH,
    /// redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, or redis+cluster://HOST:PORT,HOST:PORT; the latter
    /// two also with rediss. Put a password into the variable or the file, not on the command line
    #[arg(long, global = true, env = "LAUNCHGATE_REDIS", value_name = "URL", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis: Option<String>,
    /// CA certificates (PEM) that verify Redis and sentinels; left out: the public authorities
    #[arg(long, global = true, env = "LAUNCHGATE_REDIS_CA_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_ca_file: Option<String>,
    /// The gateway's client certificate and its chain, PEM, for a Redis and sentinels that require one;
    /// read at the start
    #[arg(long, global = true, env = "LAUNCHGATE_REDIS_CERT_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_cert_file: Option<String>,
    /// The private key of that certificate, PEM
    #[arg(long, global = true, env = "LAUNCHGATE_REDIS_KEY_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_key_file: Option<String>,
    /// The user for sentinels; left out: `default`, or none without a password. The user in the URL is
    /// for Redis
    #[arg(long, global = true, env = "LAUNCHGATE_SENTINEL_USERNAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_username: Option<String>,
    /// The password for sentinels. Put it into the variable or the file, not on the command line
    #[arg(
        long,
        global = true,
        env = "LAUNCHGATE_SENTINEL_PASSWORD",
        value_name = "TEXT",
        hide_env_values = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_password: Option<String>,
    /// A file with the password for sentinels
    #[arg(long, global = true, env = "LAUNCHGATE_SENTINEL_PASSWORD_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_password_file: Option<String>,
    /// Timeout of a connection to Redis, in ms
    #[arg(long, global = true, env = "LAUNCHGATE_REDIS_CONNECT_TIMEOUT_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_connect_timeout_ms: Option<String>,
    /// Timeout of a reply of Redis, in ms; after it the outcome is unknown
    #[arg(long, global = true, env = "LAUNCHGATE_REDIS_ANSWER_TIMEOUT_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redis_answer_timeout_ms: Option<String>,
    /// The durability that a change needs before it is acknowledged: none, aof, fsync or replicas=N
    #[arg(long, global = true, env = "LAUNCHGATE_DURABILITY", value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durability: Option<String>,
    /// Log lines as text or json
    #[arg(long, global = true, env = "LAUNCHGATE_LOG_FORMAT", value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<String>,
    /// What to log: error, warn, info, debug, trace, or per module as in "info,gateway::store=debug"
    #[arg(long, global = true, env = "LAUNCHGATE_LOG_LEVEL", value_name = "LEVEL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_level: Option<String>,
}

/// Options of `gateway serve`.
#[derive(Debug, Clone, Default, Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServeOptions {
    /// The address of the public listener
    #[arg(long, env = "LAUNCHGATE_LISTEN", value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) listen: Option<String>,
    /// The address of the ops listener: health, metrics and admin calls
    #[arg(long, env = "LAUNCHGATE_OPS_LISTEN", value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ops_listen: Option<String>,
    /// The certificate of the public listener and its chain, PEM; with it the listener speaks TLS only,
    /// HTTP/2 included; reloaded when it changes
    #[arg(long, env = "LAUNCHGATE_TLS_CERT_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_cert_file: Option<String>,
    /// The certificate's private key, PEM
    #[arg(long, env = "LAUNCHGATE_TLS_KEY_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tls_key_file: Option<String>,
    /// Proxies in front of the public listener, addresses or networks, separated by commas: their
    /// `Forwarded` or `X-Forwarded-For` header names the client
    #[arg(long, env = "LAUNCHGATE_TRUSTED_PROXIES", value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trusted_proxies: Option<String>,
    /// Whether all connections of apps come from trusted proxies and begin with a header of the PROXY
    /// protocol, version 2
    #[arg(long, env = "LAUNCHGATE_PROXY_PROTOCOL", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proxy_protocol: Option<String>,
    /// Addresses or networks of payment and order services, separated by commas: no limit by address
    /// applies to them
    #[arg(long, env = "LAUNCHGATE_SERVICE_ADDRESSES", value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_addresses: Option<String>,
    /// The certificate of the ops listener and its chain, PEM; reloaded when it changes
    #[arg(long, env = "LAUNCHGATE_OPS_TLS_CERT_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ops_tls_cert_file: Option<String>,
    /// The private key of the ops listener's certificate, PEM
    #[arg(long, env = "LAUNCHGATE_OPS_TLS_KEY_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ops_tls_key_file: Option<String>,
    /// Host names of the ops listener, separated by commas; its addresses and localhost are always
    /// accepted, any other name only for /livez, /readyz and /metrics
    #[arg(long, env = "LAUNCHGATE_OPS_HOST", value_name = "NAMES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ops_host: Option<String>,
    /// Whether the ops listener may be in plain text beyond loopback, where its tokens can be read in transit
    #[arg(long, env = "LAUNCHGATE_OPS_PLAIN_TEXT", value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ops_plain_text: Option<String>,
    /// A file with the secret of HS256 tokens, at least 32 bytes
    #[arg(long, env = "LAUNCHGATE_AUTH_SECRET_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_secret_file: Option<String>,
    /// Instead of a secret: a JWKS file with ES256, EdDSA or RS256 keys; reloaded when it changes
    #[arg(long, env = "LAUNCHGATE_AUTH_JWKS_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_jwks_file: Option<String>,
    /// The key ids of the JWKS that may sign the scope `service`, separated by commas
    #[arg(long, env = "LAUNCHGATE_AUTH_SERVICE_KEY_IDS", value_name = "KIDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_service_key_ids: Option<String>,
    /// The required `iss` of every token
    #[arg(long, env = "LAUNCHGATE_AUTH_ISSUER", value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_issuer: Option<String>,
    /// A value that `aud` of every token must contain
    #[arg(long, env = "LAUNCHGATE_AUTH_AUDIENCE", value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_audience: Option<String>,
    /// The tolerated clock difference to the signers of tokens, in s, at most 60
    #[arg(long, env = "LAUNCHGATE_AUTH_LEEWAY", value_name = "S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) auth_leeway: Option<String>,
    /// A file with lines of `NAME TOKEN [ROLE]`, the users of the ops listener; ROLE is operate
    /// (everything; the default), watch (reads only) or feed (the journal only); reloaded when it changes
    #[arg(long, env = "LAUNCHGATE_OPS_TOKEN_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ops_token_file: Option<String>,
    /// Worker threads, each with a connection to Redis; 0: one for each core
    #[arg(long, env = "LAUNCHGATE_WORKERS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) workers: Option<String>,
    /// Open connections of the public listener, of the whole process; more get 503 and are closed, with
    /// TLS they are only closed
    #[arg(long, env = "LAUNCHGATE_CONNECTIONS_MAX", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections_max: Option<String>,
    /// Of these, open connections of one client address (IPv6: one /64), or off; left out: a tenth of
    /// connections-max, at least 100. Trusted proxies are exempt; with the PROXY protocol the client that
    /// it names is counted
    #[arg(long, env = "LAUNCHGATE_CONNECTIONS_PER_ADDRESS_MAX", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connections_per_address_max: Option<String>,
    /// Taps in one script call, at most
    #[arg(long, env = "LAUNCHGATE_BATCH_MAX", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) batch_max: Option<String>,
    /// Taps that wait for a batch, for each sale and worker; more get 503
    #[arg(long, env = "LAUNCHGATE_QUEUE_MAX", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue_max: Option<String>,
    /// Largest wait of a tap until it is sent to the ledger, in ms; a tap is shed with 503 at once when
    /// its predicted wait exceeds half of it
    #[arg(long, env = "LAUNCHGATE_QUEUE_DELAY_MAX_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) queue_delay_max_ms: Option<String>,
    /// In-flight permits: requests that ask the ledger at the same time; each worker has an equal share,
    /// and more get 503. 10 % are reserved for confirm, cancel and amend
    #[arg(long, env = "LAUNCHGATE_IN_FLIGHT_MAX", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) in_flight_max: Option<String>,
    /// Rate limit of one buyer: units a second, units at once; or off
    #[arg(long, env = "LAUNCHGATE_LIMIT_BUYER", value_name = "RATE:BURST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_buyer: Option<String>,
    /// Rate limit for calls without a token per client address (IPv6: one /64)
    #[arg(long, env = "LAUNCHGATE_LIMIT_ADDRESS", value_name = "RATE:BURST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_address: Option<String>,
    /// Rate limit for invalid tokens per client address; beyond it, tokens that were never valid before
    /// share one limit for all addresses together (HS256: no limit)
    #[arg(long, env = "LAUNCHGATE_LIMIT_UNVERIFIED", value_name = "RATE:BURST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_unverified: Option<String>,
    /// Rate limit for new reservations of one sale, all live gateways together
    #[arg(long, env = "LAUNCHGATE_LIMIT_SALE", value_name = "RATE:BURST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_sale: Option<String>,
    /// Rate limit for all calls but those of services, all live gateways together
    #[arg(long, env = "LAUNCHGATE_LIMIT_GATEWAY", value_name = "RATE:BURST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_gateway: Option<String>,
    /// Buyers, and addresses, with a bucket of their own at the same time. Three tables of 18.3 bytes for each
    #[arg(long, env = "LAUNCHGATE_LIMIT_KEYS_MAX", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit_keys_max: Option<String>,
    /// Units of a new reservation
    #[arg(long, env = "LAUNCHGATE_COST_RESERVE", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_reserve: Option<String>,
    /// Units of an amendment or a cancellation
    #[arg(long, env = "LAUNCHGATE_COST_CHANGE", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_change: Option<String>,
    /// Units of a read of one's own reservations
    #[arg(long, env = "LAUNCHGATE_COST_READ", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_read: Option<String>,
    /// Units of a call without a token
    #[arg(long, env = "LAUNCHGATE_COST_STATUS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_status: Option<String>,
    /// Units of an invalid token with a public key's signature
    #[arg(long, env = "LAUNCHGATE_COST_UNVERIFIED", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_unverified: Option<String>,
    /// Time from a tap's arrival to its response, in ms
    #[arg(long, env = "LAUNCHGATE_TAP_DEADLINE_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tap_deadline_ms: Option<String>,
    /// Timeout of a connection's first byte, in ms
    #[arg(long, env = "LAUNCHGATE_FIRST_BYTE_TIMEOUT_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_byte_timeout_ms: Option<String>,
    /// Timeout of a request's head, and of a client that reads nothing of its response, in ms
    #[arg(long, env = "LAUNCHGATE_HEADER_TIMEOUT_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) header_timeout_ms: Option<String>,
    /// Timeout between two requests on a connection, in ms: longer than the load balancer keeps an idle
    /// connection
    #[arg(long, env = "LAUNCHGATE_IDLE_TIMEOUT_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) idle_timeout_ms: Option<String>,
    /// The age at which a connection ends with its next response, 1s to 1d, so that new gateways get
    /// traffic; each connection ends at 80 to 100 % of it; or off
    #[arg(long, env = "LAUNCHGATE_CONNECTION_MAX_AGE", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection_max_age: Option<String>,
    /// The number of requests at which a connection ends, likewise at 80 to 100 %; or off
    #[arg(long, env = "LAUNCHGATE_CONNECTION_MAX_REQUESTS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) connection_max_requests: Option<String>,
    /// Timeout of a request's body, in ms
    #[arg(long, env = "LAUNCHGATE_BODY_TIMEOUT_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_timeout_ms: Option<String>,
    /// Time from "not ready" to the close of the listener after SIGTERM, in ms: as long as the load
    /// balancer needs to notice
    #[arg(long, env = "LAUNCHGATE_DRAIN_DELAY_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drain_delay_ms: Option<String>,
    /// Time from then until open connections are cut, in ms
    #[arg(long, env = "LAUNCHGATE_DRAIN_DEADLINE_MS", value_name = "MS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drain_deadline_ms: Option<String>,
    /// Origins whose pages may call the API, separated by commas, as browsers send them:
    /// https://shop.example, capacitor://localhost; https://*.shop.example matches any one label below
    #[arg(long, env = "LAUNCHGATE_CORS_ORIGINS", value_name = "ORIGINS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cors_origins: Option<String>,
    /// Request headers that these pages may send besides those of the API, separated by commas
    #[arg(long, env = "LAUNCHGATE_CORS_HEADERS", value_name = "NAMES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cors_headers: Option<String>,
    /// Interval of full audits of every sale, in s
    #[arg(long, env = "LAUNCHGATE_AUDIT_INTERVAL_S", value_name = "S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) audit_interval_s: Option<String>,
}

/// All keys and their defaults, `""` where there is none, in the order of `gateway config`.
pub const DEFAULTS: &[(&str, &str)] = &[
    ("listen", "127.0.0.1:8080"),
    ("ops-listen", "127.0.0.1:9090"),
    ("tls-cert-file", ""),
    ("tls-key-file", ""),
    ("trusted-proxies", ""),
    ("proxy-protocol", "false"),
    ("service-addresses", ""),
    ("ops-tls-cert-file", ""),
    ("ops-tls-key-file", ""),
    ("ops-host", ""),
    ("ops-plain-text", "false"),
    ("redis", "redis://127.0.0.1:6379"),
    ("redis-ca-file", ""),
    ("redis-cert-file", ""),
    ("redis-key-file", ""),
    ("sentinel-username", ""),
    ("sentinel-password", ""),
    ("sentinel-password-file", ""),
    ("redis-connect-timeout-ms", "1000"),
    ("redis-answer-timeout-ms", "1000"),
    ("durability", "none"),
    ("auth-secret-file", ""),
    ("auth-jwks-file", ""),
    ("auth-service-key-ids", ""),
    ("auth-issuer", ""),
    ("auth-audience", ""),
    ("auth-leeway", "5s"),
    ("ops-token-file", ""),
    ("workers", "0"),
    ("connections-max", "10000"),
    ("connections-per-address-max", ""),
    ("batch-max", "256"),
    ("queue-max", "8192"),
    ("queue-delay-max-ms", "200"),
    ("in-flight-max", "10000"),
    ("limit-buyer", "20:100"),
    ("limit-address", "2000:20000"),
    ("limit-unverified", "1000:10000"),
    ("limit-sale", "off"),
    ("limit-gateway", "off"),
    ("limit-keys-max", "1000000"),
    ("cost-reserve", "5"),
    ("cost-change", "5"),
    ("cost-read", "1"),
    ("cost-status", "1"),
    ("cost-unverified", "10"),
    ("tap-deadline-ms", "2000"),
    ("first-byte-timeout-ms", "10000"),
    ("header-timeout-ms", "30000"),
    ("idle-timeout-ms", "75000"),
    ("connection-max-age", "off"),
    ("connection-max-requests", "off"),
    ("body-timeout-ms", "10000"),
    ("drain-delay-ms", "1000"),
    ("drain-deadline-ms", "10000"),
    ("cors-origins", ""),
    ("cors-headers", "baggage,sentry-trace,traceparent,tracestate"),
    ("audit-interval-s", "60"),
    ("log-format", "text"),
    ("log-level", "info"),
];

/// All options in one command, for their help texts.
#[derive(clap::Parser)]
pub(super) struct Help {
    #[command(flatten)]
    _common: CommonOptions,
    #[command(flatten)]
    _serve: ServeOptions,
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
