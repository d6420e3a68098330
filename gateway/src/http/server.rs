//! Accepts and serves connections: caps, timeouts, and the orderly end.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, TryFutureExt};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Version};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::domain::decision::Shed;
use crate::domain::problem;
use crate::http::drain::{Drain, DrainPhase, DrainingListener};
use crate::http::head_timer::head_timer;
use crate::http::lifetime::{Lifetime, LifetimeLimits};
use crate::http::lingering_close::{LINGER, close, end_idle, end_unused, raw, refuse};
pub use crate::http::listener::ListenerSettings;
use crate::http::listener::{Accepted, Listening, count};
use crate::http::observed_io::ObservedIo;
use crate::http::peer::Peer;
use crate::http::respond::{Answer, Refused};
use crate::http::tls::HTTP2;
use crate::http::{http2, proxy_header};
use crate::store::outage::Outage;
use crate::telemetry::labels::{Ended, Outcome};
use crate::telemetry::record::{AnswerClass, Connections};
use crate::telemetry::request_id::RequestId;

/// The largest request head that hyper reads; beyond it hyper answers a bare 431 and closes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Limits of one listener's connections.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// From the accept to the first byte, and from the end of a handshake to the first byte after it.
    pub first_byte_timeout: Duration,
    /// For a request head, a PROXY header, a handshake, and a client that reads nothing of its responses.
    pub header_timeout: Duration,
    /// Between two requests.
    pub idle_timeout: Duration,
    /// The age and the number of requests at which a connection ends.
    pub lifetime: LifetimeLimits,
}

/// Answers the requests of one thread.
pub trait Handler: 'static {
    /// Bytes that are read of a closing connection so that its last response arrives. A client that sends
    /// more (a refused body of 1 GiB) is cut off: reading it would cost more than the refusal saves.
    const LINGER_BYTES_MAX: usize;

    /// Answers a request whose head arrived at `arrived`. Every refusal is a response.
    fn answer(
        &self,
        peer: &Peer,
        parts: &Parts,
        body: Incoming,
        arrived: Instant,
    ) -> impl Future<Output = Answer>;

    /// The metrics of its connections.
    fn connections(&self) -> &Connections;

    /// Counts the response to a request and its latency.
    fn answered(&self, parts: &Parts, answer: &Answer, took: Duration);

    /// Counts the response to a connection without a request, or the cause of a close without a response.
    fn refused(&self, class: Result<AnswerClass, Shed>);
}

/// State shared by all requests of a connection.
pub(super) struct Connected<H> {
    pub(super) handler: Rc<H>,
    pub(super) peer: Peer,
    pub(super) lifetime: Lifetime,
}

/// Accepts and serves. From the start of the drain every response is the last one of its connection; the
/// listener and idle connections last until `DrainPhase::Close`. Returns when the last connection has
/// ended; the caller sets the deadline.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    handler: Rc<H>,
    limits: ConnectionLimits,
    listener_settings: ListenerSettings,
    drain: Drain,
) {
    let mut incoming = DrainingListener::new(listener, &drain);
    let turned_away = Cell::new(0);
    let listening = Rc::new(Listening { handler, limits, settings: listener_settings, drain, turned_away });
    let outage = Outage::of("no connections can be accepted");
    let (ended, mut all_ended) = tokio::sync::mpsc::channel::<Infallible>(1);
    while let Some(accepted) = incoming.accept().await {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Mostly out of descriptors: wait for some instead of spinning.
                outage.record_failure(error);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        outage.record_success();
        listening.handler.connections().came();
        let peer = Peer::new(address.ip(), &listening.settings.proxies);
        let open = match listening.count_connection(&peer) {
            Ok(open) => open,
            Err(over) => {
                let how = refuse(&listening, stream, over);
                listening.handler.connections().ended(how);
                continue;
            }
        };
        let (listening, ended) = (listening.clone(), ended.clone());
        tokio::task::spawn_local(async move {
            let handler = listening.handler.clone();
            let how = serve_connection(Accepted { listening, stream, peer, open }).await;
            handler.connections().ended(how);
            drop(ended);
        });
    }
    drop((incoming, ended));
    let _ = all_ended.recv().await;
}

async fn serve_connection<H: Handler>(accepted: Accepted<H>) -> Ended {
    let settings = &accepted.listening.settings;
    // hyper has no timeout for a client that never sends anything, and need not see connections that are
    // opened and dropped. A peek, because tokio assumes that a new connection is ready.
    if let Err(how) = accepted.listening.first_byte(accepted.stream.peek(&mut [0])).await {
        if how == Ended::Dropped {
            // The client has gone: a reset spares the kernel an orderly close, packet by packet.
            let _ = SockRef::from(&accepted.stream).set_linger(Some(Duration::ZERO));
        }
        let is_plain = settings.tls.is_none();
        return end_unused(how, accepted.stream, is_plain, H::LINGER_BYTES_MAX).await;
    }
    let _ = accepted.stream.set_nodelay(true);
    if settings.tls.is_some() || settings.proxy_protocol {
        // On the heap: in the future it would be kept for every plain-text connection.
        return Box::pin(serve_with_preamble(accepted)).await;
    }
    let Accepted { listening, stream, peer, open: _open } = accepted;
    http1(stream, listening.connect(peer), listening.limits).await
}

/// Serves a connection with a PROXY header or a TLS handshake. A client that gets it wrong gets the
/// handshake's alert, or no response.
async fn serve_with_preamble<H: Handler>(accepted: Accepted<H>) -> Ended {
    let Accepted { listening, mut stream, mut peer, mut open } = accepted;
    let Listening { settings, limits, .. } = &*listening;
    let address = peer.address();
    let refused = |how: Ended, reason: &dyn std::fmt::Display| {
        tracing::debug!(%address, %reason, "a connection was refused");
        how
    };
    let deadline = tokio::time::Instant::now() + limits.header_timeout;
    if settings.proxy_protocol {
        if !settings.proxies.contain(address) {
            return refused(Ended::NotTrusted, &"the peer is not a trusted proxy");
        }
        match tokio::time::timeout_at(deadline, proxy_header::read(&mut stream)).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(client))) => {
                peer = Peer::introduced(client, &settings.proxies);
                if let Err(over) = count(&mut open, &peer) {
                    return refuse(&listening, stream, over);
                }
            }
            Ok(Err(error)) => return refused(Ended::ProxyHeader, &error),
            Err(late) => return refused(Ended::ProxyHeader, &late),
        }
    }
    let connected = listening.connect(peer);
    let Some(tls) = &settings.tls else {
        return match listening.first_byte(stream.peek(&mut [0])).await {
            Ok(()) => http1(stream, connected, *limits).await,
            Err(how) => end_unused(how, stream, true, H::LINGER_BYTES_MAX).await,
        };
    };
    let mut stream = match tokio::time::timeout_at(deadline, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refused(Ended::Handshake, &error),
        Err(late) => return refused(Ended::Handshake, &late),
    };
    // The first byte again, now that of a request.
    let first = listening.first_byte(stream.fill_buf().map_ok(<[u8]>::len)).await;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    match first {
        Ok(()) if is_http2 => {
            http2::serve(stream, connected, limits.idle_timeout, limits.header_timeout).await
        }
        Ok(()) => http1(stream, connected, *limits).await,
        Err(how) => end_unused(how, stream, !is_http2, H::LINGER_BYTES_MAX).await,
    }
}

/// The stream of HTTP/1.1: a socket, or TLS on one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    fn socket(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Stream for tokio_rustls::server::TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Serves HTTP/1.1 to the connection's end.
async fn http1<H: Handler>(
    stream: impl Stream,
    connected: Rc<Connected<H>>,
    limits: ConnectionLimits,
) -> Ended {
    let service = service_fn(|request| answer(connected.clone(), request));
    let (timer, mut watch) = head_timer(limits.idle_timeout, limits.header_timeout);
    let mut connection = http1::Builder::new()
        .timer(timer)
        // Responses are short: copying one costs less than a vectored write of two pieces.
        .writev(false)
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(ObservedIo::new(stream, watch.stream_timer())), service);
    let drain = connected.lifetime.drain();
    let outcome = {
        let mut closes = pin!(drain.reaches(DrainPhase::Close));
        let (mut is_registered, mut is_closing) = (false, false);
        let serving = std::future::poll_fn(|cx| {
            loop {
                if watch.poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(outcome) = connection.poll_without_shutdown(cx) {
                    return Poll::Ready(Some(outcome));
                }
                watch.settle(cx);
                // The phase is shared by all connections: a registration at every request would take a
                // contended lock.
                if is_closing || (is_registered && !drain.has_begun()) {
                    return Poll::Pending;
                }
                is_registered = true;
                if closes.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                is_closing = true;
                // hyper's graceful shutdown would drop a head that has arrived in part.
                watch.close_when_idle();
            }
        });
        serving.await
    };
    let parts = connection.into_parts();
    let mut stream = parts.io.into_inner().into_inner();
    let Some(outcome) = outcome else {
        // A client that reads nothing gets no lingering close: a reset also frees the kernel's buffers.
        let _ = SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO));
        return Ended::SlowReader;
    };
    let closed = connected.lifetime.end().unwrap_or(Ended::Closed);
    let (how, class) =
        outcome.map_or_else(|error| classify_error(&error, &parts.read_buf), |()| (closed, None));
    if let Some(kind) = &class {
        connected.handler.refused(Ok(AnswerClass::plain(Outcome::of(kind))));
    }
    if how == Ended::Idle {
        if end_idle(stream, H::LINGER_BYTES_MAX).await {
            connected.handler.refused(Ok(AnswerClass::plain(Outcome::of(&problem::REQUEST_TIMEOUT))));
        }
        return if connected.lifetime.drain().has_begun() { Ended::Stopped } else { how };
    }
    if how == Ended::SlowHead {
        let late = Refused::new(problem::REQUEST_TIMEOUT, "The request's head did not arrive in time.");
        let _ = tokio::time::timeout(LINGER, stream.write_all(&raw(late).await)).await;
    }
    close(stream, LINGER, H::LINGER_BYTES_MAX).await;
    how
}

/// The cause of a connection that hyper gave up, and the problem that the client gets, from here or from hyper.
fn classify_error(error: &hyper::Error, unread: &[u8]) -> (Ended, Option<problem::ProblemKind>) {
    /// The HTTP/2 preface; hyper sends no response to it.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    if error.is_timeout() {
        // Whether a head had begun.
        let is_idle = unread.is_empty();
        return if is_idle { (Ended::Idle, None) } else { (Ended::SlowHead, Some(problem::REQUEST_TIMEOUT)) };
    }
    if error.is_parse_too_large() {
        return (Ended::Malformed, Some(problem::HEADERS_TOO_LARGE));
    }
    if error.is_parse() {
        let class = (!unread.starts_with(PREFACE)).then_some(problem::INVALID_REQUEST);
        return (Ended::Malformed, class);
    }
    (Ended::Broken, None)
}

/// A panic in a handler is a bug that costs one response, not the worker. Boxed, because only a connection that
/// can be moved gives its stream back for the 408 above, and an idle one needs no room for the response.
pub(super) fn answer<H: Handler>(
    connected: Rc<Connected<H>>,
    request: Request<Incoming>,
) -> Pin<Box<impl Future<Output = Result<Answer, Infallible>>>> {
    let (parts, body) = request.into_parts();
    Box::pin(async move {
        let arrived = Instant::now();
        let Connected { handler, peer, lifetime } = &*connected;
        lifetime.count_request();
        let request = RequestId::of(peer.is_trusted(), &parts.headers);
        let answering = std::panic::AssertUnwindSafe(handler.answer(peer, &parts, body, arrived));
        let answer = request.scope(pin!(answering.catch_unwind())).await;
        let mut answer = answer.unwrap_or_else(|_| answer_panic(&parts, &request));
        request.mark(answer.headers_mut());
        // HTTP/2 has GOAWAY for it.
        if parts.version != Version::HTTP_2 {
            lifetime.announce(&parts.headers, answer.headers_mut());
        }
        handler.answered(&parts, &answer, arrived.elapsed());
        Ok(answer)
    })
}

fn answer_panic(parts: &Parts, request: &RequestId) -> Answer {
    let (id, method, path) = (request.id(), parts.method.as_str(), parts.uri.path());
    request.enter(|| tracing::error!(method, path, "a handler panicked"));
    Refused::new(problem::INTERNAL, format!("A bug; the log has it under request {id}."))
        .with("request_id", id)
        .into_answer()
}
