//! Owns the connections to the gateways: one shared client, bounded in number, time and size.

use crate::Failure;
use crate::cli::{Ledger, Target};
use crate::watch::descriptors_limit;
use reqwest::Certificate;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A request that may be sent again as it is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: reqwest::Method,
    /// From the root, with the query.
    pub(crate) path: String,
    pub(crate) bearer: Option<String>,
    pub(crate) key: Option<String>,
    /// The `ETag` of what the caller has already.
    pub(crate) tag: Option<String>,
    /// JSON, serialised once for all tries: a retry must have the same body.
    pub(crate) body: Option<String>,
}

impl Request {
    pub(crate) fn get(path: String) -> Request {
        Request { method: reqwest::Method::GET, path, bearer: None, key: None, tag: None, body: None }
    }

    pub(crate) fn post(path: String, bearer: &str, body: Option<String>) -> Request {
        Request { method: reqwest::Method::POST, bearer: Some(bearer.to_owned()), body, ..Request::get(path) }
    }

    pub(crate) fn patch(path: String, bearer: &str, body: String) -> Request {
        Request { method: reqwest::Method::PATCH, ..Request::post(path, bearer, Some(body)) }
    }

    pub(crate) fn with_bearer(mut self, bearer: &str) -> Request {
        self.bearer = Some(bearer.to_owned());
        self
    }

    pub(crate) fn with_key(mut self, key: &str) -> Request {
        self.key = Some(key.to_owned());
        self
    }

    /// For a history: everything but the token.
    pub(crate) fn describe(&self, gateway: &str) -> String {
        let key = self.key.as_ref().map(|key| format!(" Idempotency-Key: {key}")).unwrap_or_default();
        let body = self.body.as_ref().map(|body| format!(" {body}")).unwrap_or_default();
        format!("{} {gateway}{}{key}{body}", self.method, self.path)
    }
}

/// An answer that arrived whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// Seconds, as `Retry-After` says.
    pub(crate) retry_after: Option<u64>,
    pub(crate) replayed: bool,
    pub(crate) location: Option<String>,
    /// The `ETag`.
    pub(crate) tag: Option<String>,
    pub(crate) body: String,
}

/// What came of sending a request once.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// The reply, or why there is none.
    pub(crate) reply: Result<Reply, Lost>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    #[error("not sent: the deadline was over")]
    NotSent,
    #[error("no answer within {0} ms")]
    TimedOut(u128),
    #[error("{0}")]
    Broken(String),
}

impl Lost {
    /// One of few, for counting.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Lost::NotSent => "not sent",
            Lost::TimedOut(_) => "no answer in time",
            Lost::Broken(_) if self.is_port_exhaustion() => "no free port",
            Lost::Broken(text) if text.contains("refused") => "connection refused",
            Lost::Broken(text) if text.contains("Too many open files") => "no free descriptor",
            Lost::Broken(_) => "connection broken",
        }
    }

    /// The kernel had no port left for another connection to that address.
    pub(crate) fn is_port_exhaustion(&self) -> bool {
        matches!(self, Lost::Broken(text) if text.contains("Cannot assign requested address"))
    }
}

/// The way to the gateways.
pub(crate) struct Client {
    http: reqwest::Client,
    gateways: Vec<String>,
    /// A permit a request in flight: descriptors are finite, and idle connections
    /// are at most as many as requests once were in flight.
    in_flight: Semaphore,
    pub(crate) connections: usize,
}

/// The right to have one request in flight.
pub(crate) struct Turn<'a> {
    /// The semaphore is never closed; without a permit the request would just go out.
    _permit: Option<SemaphorePermit<'a>>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the wait from warming up to the opening.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// No answer of the public API is nearly as long.
const BODY_BYTES_MAX: usize = 1 << 20;
/// For files, the admin API and goose.
const DESCRIPTORS_SPARE: usize = 200;
/// What is left of descriptors when the limit can't be read.
const DESCRIPTORS_DEFAULT: usize = 1024;

/// What all HTTP of this program has in common.
pub(crate) fn http(ledger: &Ledger) -> Result<reqwest::ClientBuilder, Failure> {
    let http = reqwest::Client::builder()
        .http1_only()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .user_agent("launchgate-loadtest");
    let Some(path) = &ledger.ca_file else { return Ok(http) };
    let wrong = |error: String| Failure::Usage(format!("--ca-file {}: {error}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let trusted = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(causes(&error)))?;
    if trusted.is_empty() {
        return Err(wrong("has no certificate: PEM is asked for".to_owned()));
    }
    Ok(http.tls_certs_merge(trusted))
}

impl Client {
    pub(crate) fn new(target: &Target, connections: usize) -> Result<Client, Failure> {
        let gateways = target.gateways();
        let http = http(&target.ledger)?
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections.div_ceil(gateways.len().max(1)))
            .build()
            .map_err(|error| Failure::Outside(format!("the HTTP client can't be built: {error}")))?;
        Ok(Client { http, gateways, in_flight: Semaphore::new(connections), connections })
    }

    /// The base URL that the n-th caller talks to; a retry goes to the next one.
    pub(crate) fn gateway(&self, n: usize) -> &str {
        &self.gateways[n % self.gateways.len()]
    }

    /// How many there are.
    pub(crate) fn gateways(&self) -> usize {
        self.gateways.len()
    }

    /// Waits until one more request may be in flight.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { _permit: self.in_flight.acquire().await.ok() }
    }

    /// Sends the request once, when it is its turn.
    pub(crate) async fn send(
        &self,
        gateway: usize,
        request: &Request,
        timeout: Duration,
        deadline: Instant,
    ) -> Answer {
        let turn = self.turn().await;
        self.send_in(turn, gateway, request, timeout, deadline).await
    }

    /// Sends the request once. The clock starts now that a connection may be used; nothing is
    /// sent or waited for past the deadline.
    pub(crate) async fn send_in(
        &self,
        _turn: Turn<'_>,
        gateway: usize,
        request: &Request,
        timeout: Duration,
        deadline: Instant,
    ) -> Answer {
        // Made before the clock starts: what is measured is the gateway.
        let request = self.made(gateway, request);
        let sent = Instant::now();
        let timeout = timeout.min(deadline.saturating_duration_since(sent));
        if timeout.is_zero() {
            return Answer { sent, took: Duration::ZERO, reply: Err(Lost::NotSent) };
        }
        let exchange = async { self.exchange(request?).await };
        let reply = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok((response, body, took))) => {
                return Answer { sent, took: took - sent, reply: Ok(Reply::of(&response, body)) };
            }
            Ok(Err(error)) => Err(Lost::Broken(causes(&error))),
            Err(_) => Err(Lost::TimedOut(timeout.as_millis())),
        };
        Answer { sent, took: sent.elapsed(), reply }
    }

    fn made(&self, gateway: usize, request: &Request) -> Result<reqwest::Request, reqwest::Error> {
        let url = format!("{}{}", self.gateway(gateway), request.path);
        let mut builder = self.http.request(request.method.clone(), url);
        if let Some(bearer) = &request.bearer {
            builder = builder.header("authorization", bearer);
        }
        if let Some(key) = &request.key {
            builder = builder.header("idempotency-key", key);
        }
        if let Some(tag) = &request.tag {
            builder = builder.header("if-none-match", tag);
        }
        if let Some(body) = &request.body {
            builder = builder.header("content-type", "application/json").body(body.clone());
        }
        builder.build()
    }

    /// Sends it and takes the answer in; with the instant at which it was there.
    async fn exchange(
        &self,
        request: reqwest::Request,
    ) -> Result<(reqwest::Response, Vec<u8>, Instant), reqwest::Error> {
        let mut response = self.http.execute(request).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > BODY_BYTES_MAX {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok((response, body, Instant::now()))
    }
}

impl Reply {
    fn of(response: &reqwest::Response, body: Vec<u8>) -> Reply {
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        Reply {
            status: response.status().as_u16(),
            content_type: header("content-type").unwrap_or_default().to_owned(),
            retry_after: header("retry-after").and_then(|value| value.parse().ok()),
            replayed: header("idempotency-replayed") == Some("true"),
            location: header("location").map(str::to_owned),
            tag: header("etag").map(str::to_owned),
            body: String::from_utf8(body)
                .unwrap_or_else(|no| String::from_utf8_lossy(no.as_bytes()).into_owned()),
        }
    }
}

/// An error with all its causes: "error sending request" alone helps nobody.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// How many requests may be in flight: one a tap, but half the descriptors at most,
/// since a connection that has just been given back may not be the one used next.
pub(crate) fn connections(asked: Option<usize>, taps: usize) -> usize {
    let descriptors = descriptors_limit().and_then(|limit| usize::try_from(limit).ok());
    let descriptors = descriptors.unwrap_or(DESCRIPTORS_DEFAULT);
    let possible = descriptors.saturating_sub(DESCRIPTORS_SPARE).max(2);
    asked.unwrap_or(possible / 2).min(possible).min(taps).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_connection_a_tap_at_most() {
        assert_eq!(connections(None, 3), 3);
        assert_eq!(connections(Some(2), 3), 2);
        assert_eq!(connections(None, 0), 1);
    }

    #[test]
    fn a_description_has_no_token() {
        let request =
            Request::post("/v1/x".to_owned(), "Bearer secret", Some("{}".to_owned())).with_key("k-1");
        assert_eq!(request.describe("http://a:1"), "POST http://a:1/v1/x Idempotency-Key: k-1 {}");
    }
}
