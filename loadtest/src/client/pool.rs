//! Pools the connections to one gateway. The task that waits for the answer drives its connection:
//! a task for each connection, as in general clients, costs two task switches an answer.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::client::Reply;
use crate::client::stamp::{Stamped, Stamps};

/// A request with its complete body.
pub(super) type Whole = Request<Full<Bytes>>;
type Stream = Stamped<MaybeHttpsStream<TokioIo<TcpStream>>>;
type Broken = Box<dyn Error + Send + Sync>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the wait from warming up to the opening.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// No answer of the public API is nearly as long.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The connections to one gateway.
pub(super) struct Pool {
    /// As it was given.
    pub(super) base: String,
    uri: Uri,
    /// What its requests have as `Host`.
    pub(super) host: Authority,
    connector: HttpsConnector<HttpConnector>,
    /// The one that was used last is at the end, and is used first.
    resting: Mutex<Vec<Link>>,
    resting_max: usize,
}

/// One connection.
struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<Stream, Full<Bytes>>,
    stamps: Stamps,
    ended: bool,
    used: Instant,
}

impl Pool {
    /// `base` is `http://HOST:PORT` or `https://HOST:PORT`; `None` where it is not.
    pub(super) fn new(base: String, tls: ClientConfig, resting_max: usize) -> Option<Pool> {
        let uri: Uri = base.parse().ok()?;
        let host = uri.authority()?.clone();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Some(Pool { base, uri, host, connector, resting: Mutex::default(), resting_max })
    }

    /// Sends a request and reads the answer; returns both instants. It is sent when its first byte
    /// leaves or, with a new connection, when the connect begins.
    pub(super) async fn exchange(&self, mut request: Whole) -> Result<(Reply, Instant, Instant), Broken> {
        debug_assert!(request.headers().contains_key(HOST));
        let begun = Instant::now();
        loop {
            let (mut link, fresh) = match self.rested().await {
                Some(link) => (link, false),
                None => (self.connect().await?, true),
            };
            link.stamps.clear();
            let sending = link.sender.try_send_request(request);
            let response = match link.work(sending).await {
                Ok(response) => response,
                // Closed by the gateway while it rested, and nothing was sent.
                Err(mut unsent) => match unsent.take_message() {
                    Some(message) if !fresh => {
                        request = message;
                        continue;
                    }
                    _ => return Err(unsent.into_error().into()),
                },
            };
            let (head, body) = response.into_parts();
            let body = link.work(whole(body)).await?;
            let (written, read) = link.stamps.taken();
            let there = read.unwrap_or_else(Instant::now);
            let sent = written.filter(|_| !fresh).unwrap_or(begun);
            let reply = Reply::of(&Response::from_parts(head, ()), body);
            self.rest(link, there);
            return Ok((reply, sent, there));
        }
    }

    async fn connect(&self) -> Result<Link, Broken> {
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        let stream = connector.call(self.uri.clone()).await?;
        let stamps = Stamps::default();
        let stream = Stamped::new(stream, stamps.clone());
        let (sender, connection) = http1::Builder::new().writev(false).handshake(stream).await?;
        Ok(Link { sender, connection, stamps, ended: false, used: Instant::now() })
    }

    /// One that is still open, as far as can be known before it is used.
    async fn rested(&self) -> Option<Link> {
        loop {
            let mut link = {
                let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
                let link = resting.pop()?;
                if link.used.elapsed() > IDLE_TIMEOUT {
                    // And all before it, which have rested for longer.
                    resting.clear();
                    return None;
                }
                link
            };
            if link.is_open().await {
                return Some(link);
            }
        }
    }

    fn rest(&self, mut link: Link, now: Instant) {
        link.used = now;
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.len() < self.resting_max {
            resting.push(link);
        }
    }
}

impl Link {
    /// Waits for what depends on the connection, and works the connection meanwhile.
    async fn work<F: Future>(&mut self, wanted: F) -> F::Output {
        let mut wanted = pin!(wanted);
        poll_fn(|cx| {
            // Twice: what is wanted may ask the connection for more, and has it then without another turn.
            for _ in 0..2 {
                self.turn(cx);
                if let Poll::Ready(output) = wanted.as_mut().poll(cx) {
                    return Poll::Ready(output);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Checks what happened to the connection while it was idle.
    async fn is_open(&mut self) -> bool {
        poll_fn(|cx| {
            self.turn(cx);
            Poll::Ready(())
        })
        .await;
        !self.ended && self.sender.is_ready()
    }

    /// The waiting request reports the error.
    fn turn(&mut self, cx: &mut std::task::Context<'_>) {
        self.ended = self.ended || Pin::new(&mut self.connection).poll(cx).is_ready();
    }
}

/// The body, or the beginning of one that is longer than any of the API.
async fn whole(mut body: Incoming) -> Result<Vec<u8>, hyper::Error> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            break;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
