//! Serves the load generator's own metrics to Prometheus, if it has an address.

mod moments;
mod render;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::base::failure::Failure;
use crate::figures::Figures;
use crate::self_monitoring::Gauges;

pub(crate) use moments::Moments;

/// A Prometheus has one. What comes beyond that is closed, so that scrapes never take the load's descriptors.
const CONNECTIONS_MAX: usize = 16;
/// From the connection to the complete request head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// From the connection to the last byte of the answer: one is answered, then the connection ends.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// After an accept that failed: most likely for want of descriptors, which a loop would not bring back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// OpenMetrics 1.0, as the client library writes it.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen {
    /// Port 0 takes a free one.
    pub(crate) address: SocketAddr,
    /// There is neither TLS nor a token: any client that reaches the address can read the metrics.
    pub(crate) allow_beyond_loopback: bool,
}

/// What a scrape reads; nothing is counted for it.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) figures: Arc<Mutex<Figures>>,
    pub(crate) gauges: Gauges,
    pub(crate) moments: Arc<Moments>,
    /// The requests that the run will make: they are there, at zero, before the first of them.
    pub(crate) requests: &'static [&'static str],
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Metrics {
    address: SocketAddr,
    /// Dropping it ends the server, and its connections with it: they are in its set.
    _server: JoinSet<()>,
}

impl Metrics {
    /// Listens and serves.
    pub(crate) async fn start(listen: Listen, sources: Sources) -> Result<Metrics, Failure> {
        Metrics::start_with(listen, sources, HEADER_TIMEOUT).await
    }

    async fn start_with(
        listen: Listen,
        sources: Sources,
        header_timeout: Duration,
    ) -> Result<Metrics, Failure> {
        let asked = listen.address;
        if !asked.ip().to_canonical().is_loopback() && !listen.allow_beyond_loopback {
            return Err(Failure::Usage(format!(
                "--metrics-listen {asked}: any client that reaches this address could read the metrics, without a \
                 token: use 127.0.0.1:{}, or allow it with --metrics-beyond-loopback",
                asked.port()
            )));
        }
        let failed = |error: std::io::Error| {
            Failure::Outside(format!(
                "--metrics-listen {asked}: {error}: use an address of this machine and a port that is free, or port 0"
            ))
        };
        let listener = TcpListener::bind(asked).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let _server = JoinSet::from_iter([serve(listener, sources, header_timeout)]);
        Ok(Metrics { address, _server })
    }

    /// Where it listens, with the port that it got.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, sources: Sources, header_timeout: Duration) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Close surplus connections, so that their clients notice.
        let Ok(place) = free.clone().try_acquire_owned() else { continue };
        let sources = sources.clone();
        connections.spawn(async move {
            let _place = place;
            let _ =
                tokio::time::timeout(CONNECTION_TIMEOUT, answer_one(stream, sources, header_timeout)).await;
        });
    }
}

/// Answers one request. An error is the other side's: it went away, or spoke no HTTP.
async fn answer_one(stream: TcpStream, sources: Sources, header_timeout: Duration) {
    let service = service_fn(move |request| {
        let answer = answer(&request, &sources);
        async move { Ok::<_, Infallible>(answer) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(request: &Request<Incoming>, sources: &Sources) -> Response<Full<Bytes>> {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        let mut nothing = Response::new(Full::from("Only GET /metrics is answered here.\n"));
        *nothing.status_mut() = StatusCode::NOT_FOUND;
        return nothing;
    }
    let mut found = Response::new(Full::from(sources.text()));
    found.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    found
}
