//! Sends requests to the gateways: one shared client, bounded in number, time and size.

pub(crate) mod options;
mod pool;
mod stamp;
pub(crate) mod tokens;
#[path = "../../gateway/relay/src/trust.rs"]
mod trust;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::header::{self, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, IF_NONE_MATCH};
use hyper::{Method, Response};
use pool::{Pool, Whole};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::failure::Failure;
use crate::self_monitoring::{Traffic, descriptors_limit};
use options::Target;
use trust::TrustError;
pub(crate) use trust::tls;

/// A request that may be sent again as it is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
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
        Request { method: Method::GET, path, bearer: None, key: None, tag: None, body: None }
    }

    pub(crate) fn post(path: String, bearer: &str, body: Option<String>) -> Request {
        Request { method: Method::POST, bearer: Some(bearer.to_owned()), body, ..Request::get(path) }
    }

    pub(crate) fn patch(path: String, bearer: &str, body: String) -> Request {
        Request { method: Method::PATCH, ..Request::post(path, bearer, Some(body)) }
    }

    pub(crate) fn with_key(mut self, key: &str) -> Request {
        self.key = Some(key.to_owned());
        self
    }

    fn made(&self, host: &str) -> Result<Whole, hyper::http::Error> {
        let mut made = hyper::Request::builder()
            .method(self.method.clone())
            .uri(&*self.path)
            .header(HOST, host)
            .header(header::USER_AGENT, USER_AGENT);
        let fields =
            [(AUTHORIZATION, &self.bearer), (IDEMPOTENCY_KEY, &self.key), (IF_NONE_MATCH, &self.tag)];
        for (name, value) in fields {
            if let Some(value) = value {
                made = made.header(name, value);
            }
        }
        let Some(body) = &self.body else { return made.body(Full::default()) };
        made.header(CONTENT_TYPE, "application/json").body(Full::from(body.clone()))
    }

    /// For a history: everything but the token.
    pub(crate) fn describe(&self, gateway: &str) -> String {
        let key = self.key.as_ref().map(|key| format!(" Idempotency-Key: {key}")).unwrap_or_default();
        let body = self.body.as_ref().map(|body| format!(" {body}")).unwrap_or_default();
        format!("{} {gateway}{}{key}{body}", self.method, self.path)
    }
}

/// A complete answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    /// The seconds of `Retry-After`.
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
    /// Which gateway was asked, from 0 in the order of `--gateway`.
    pub(crate) gateway: usize,
    pub(crate) sent: Instant,
    pub(crate) took: Duration,
    /// How long its client would have waited.
    pub(crate) patience: Duration,
    /// The reply, or why there is none.
    pub(crate) reply: Result<Reply, Lost>,
}

impl Answer {
    pub(crate) fn status(&self) -> Option<u16> {
        self.reply.as_ref().ok().map(|reply| reply.status)
    }

    /// What a 200 has in its body, if it can be read.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        let reply = self.reply.as_ref().ok().filter(|reply| reply.status == 200)?;
        serde_json::from_str(&reply.body).ok()
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    #[error("not sent: the deadline was over")]
    NotSent,
    #[error("no answer before the deadline of the run")]
    CutShort,
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
            Lost::CutShort => "cut short by the end of the run",
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
    gateways: Vec<Pool>,
    /// A permit a request in flight: descriptors are finite, and idle connections
    /// are at most as many as requests once were in flight.
    in_flight: Arc<Semaphore>,
    pub(crate) connections: usize,
    pub(crate) traffic: Traffic,
}

/// The right to have one request in flight.
pub(crate) type Turn = OwnedSemaphorePermit;

/// The User-Agent of all requests.
pub(crate) const USER_AGENT: &str = "launchgate-loadtest";
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// For files, the admin API and goose.
const DESCRIPTORS_SPARE: usize = 200;
/// What is left of descriptors when the limit can't be read.
const DESCRIPTORS_DEFAULT: usize = 1024;

impl Client {
    pub(crate) fn new(target: &Target, connections: usize) -> Result<Client, Failure> {
        let gateways = target.gateways();
        let tls = tls(target.ledger.ca_file.as_deref())?;
        let resting_max = connections.div_ceil(gateways.len().max(1));
        let pool = |base: String| {
            let failure = Failure::Usage(format!(
                "--gateway {base:?} is not a gateway's address: expected http://HOST:PORT or https://HOST:PORT"
            ));
            Pool::new(base, tls.clone(), resting_max).ok_or(failure)
        };
        let gateways = gateways.into_iter().map(pool).collect::<Result<_, _>>()?;
        let (in_flight, traffic) = (Arc::new(Semaphore::new(connections)), Traffic::default());
        Ok(Client { gateways, in_flight, connections, traffic })
    }

    /// The base URL that the n-th caller talks to; a retry goes to the next one.
    pub(crate) fn gateway(&self, n: usize) -> &str {
        &self.pool(n).base
    }

    fn pool(&self, n: usize) -> &Pool {
        &self.gateways[n % self.gateways.len()]
    }

    /// How many there are.
    pub(crate) fn gateways(&self) -> usize {
        self.gateways.len()
    }

    /// Waits until one more request may be in flight. The semaphore is never closed; without a permit
    /// the request would just go out.
    pub(crate) async fn turn(&self) -> Option<Turn> {
        let (turn, asked) = match Arc::clone(&self.in_flight).try_acquire_owned() {
            Ok(turn) => (Some(turn), None),
            Err(_) => {
                let asked = Instant::now();
                (Arc::clone(&self.in_flight).acquire_owned().await.ok(), Some(asked))
            }
        };
        self.traffic.connected(asked);
        turn
    }

    /// Sends the request once, in the caller's turn or the next one. The clock starts when a connection
    /// may be used; nothing is sent or waited for past the deadline.
    pub(crate) async fn send(
        &self,
        turn: Option<Turn>,
        gateway: usize,
        request: &Request,
        timeout: Duration,
        deadline: Instant,
    ) -> Answer {
        let _turn = match turn {
            Some(turn) => Some(turn),
            None => self.turn().await,
        };
        let gateway = gateway % self.gateways.len();
        let pool = self.pool(gateway);
        let request = request.made(pool.host.as_str());
        let sent = Instant::now();
        let (patience, left) = (timeout, deadline.saturating_duration_since(sent));
        if left.is_zero() {
            return Answer { gateway, sent, took: Duration::ZERO, patience, reply: Err(Lost::NotSent) };
        }
        let flight = self.traffic.send();
        let exchange = async { pool.exchange(request?).await };
        let reply = match tokio::time::timeout(patience.min(left), exchange).await {
            Ok(Ok((reply, sent, there))) => {
                flight.answered();
                return Answer { gateway, sent, took: there - sent, patience, reply: Ok(reply) };
            }
            Ok(Err(error)) => Err(Lost::Broken(causes(&*error))),
            Err(_) if left < patience => Err(Lost::CutShort),
            Err(_) => Err(Lost::TimedOut(patience.as_millis())),
        };
        Answer { gateway, sent, took: sent.elapsed(), patience, reply }
    }
}

impl Reply {
    fn of(response: &Response<()>, body: Vec<u8>) -> Reply {
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

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Outside(_) => Self::Outside(error.to_string()),
            TrustError::Unread { .. } | TrustError::Empty(_) => Self::Usage(error.to_string()),
        }
    }
}

/// Formats an error with its causes: "error sending request" alone does not help.
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
mod tests;
