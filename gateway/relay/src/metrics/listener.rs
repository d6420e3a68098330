//! A small HTTP server for `GET /metrics`, which scrapes can't overload.
//!
//! The load test includes this file.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
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

/// A Prometheus has one. What comes beyond that is closed, so that scrapes never take the program's descriptors.
pub(crate) const CONNECTIONS_MAX: usize = 16;
/// From the connection to the complete request head.
pub(crate) const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// From the connection to the last byte of the answer: one is answered, then the connection ends.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(20);
/// After an accept that failed: most likely for want of descriptors, which a loop would not bring back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// OpenMetrics 1.0, as the client library writes it.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What makes the text of a scrape.
pub(crate) type Text = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    address: SocketAddr,
    /// Dropping it ends the server, and its connections with it: they are in its set.
    _server: JoinSet<()>,
}

impl Listener {
    pub(crate) async fn start(
        address: SocketAddr,
        header_timeout: Duration,
        text: Text,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { address, _server: JoinSet::from_iter([serve(listener, header_timeout, text)]) })
    }

    /// Where it listens, with the port that it got.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve(listener: TcpListener, header_timeout: Duration, text: Text) {
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
        let text = text.clone();
        connections.spawn(async move {
            let _place = place;
            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, answer_one(stream, header_timeout, text)).await;
        });
    }
}

/// Answers one request. An error is the other side's: it went away, or spoke no HTTP.
async fn answer_one(stream: TcpStream, header_timeout: Duration, text: Text) {
    let service = service_fn(move |request| {
        let answer = answer(&request, &text);
        async move { Ok::<_, Infallible>(answer) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(request: &Request<Incoming>, text: &Text) -> Response<Full<Bytes>> {
    if request.method() != Method::GET || request.uri().path() != "/metrics" {
        let mut nothing = Response::new(Full::from("Only GET /metrics is answered here.\n"));
        *nothing.status_mut() = StatusCode::NOT_FOUND;
        return nothing;
    }
    let mut found = Response::new(Full::from(text()));
    found.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    found
}
