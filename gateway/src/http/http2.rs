//! HTTP/2 (RFC 9113) for clients that negotiate it: every limit of a connection, and its orderly end.
//!
//! Attacks of a hostile client, and what bounds them:
//!
//! | | bounded by |
//! | --- | --- |
//! | more streams than allowed | h2 refuses them (`STREAMS_MAX`) and ends the connection (`OWN_RESETS_MAX`) |
//! | rapid reset | before a handler has the request, h2 (`WAITING_RESETS_MAX`); after, `frame_budget.rs` |
//! | streams that we reset for their mistakes ("MadeYouReset") | h2 (`OWN_RESETS_MAX`) |
//! | CONTINUATION without end | h2: a quarter more frames than the largest header list takes, at least 5 |
//! | header list too large (HPACK bomb) | h2 discards it (`HEADER_LIST_MAX`) and answers 431 |
//! | empty DATA frames; very small ones | h2: 100 a connection; a budget of 25,600 bytes of overhead |
//! | floods of PING, SETTINGS, WINDOW_UPDATE, PRIORITY, unknown frames | `frame_budget.rs`; h2 answers one before it reads the next, so none accumulate |
//! | a window of 0, answers never read | `http2_requests.rs`: at most `UNSENT_MAX` bytes of answers and one more answer, then requests wait; a response without progress for the write timeout ends the connection |
//! | slow header sections and bodies, unfinished streams, silence | the idle time-out; the body's; PING |

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::time::Instant;

use crate::domain::decision::Shed;
use crate::http::drain::DrainPhase;
use crate::http::frame_budget::{Budget, FrameObserver};
use crate::http::http2_requests::{InFlightRequest, InFlightRequests, Metered};
use crate::http::lingering_close::{LINGER, close};
use crate::http::observed_io::ObservedIo;
use crate::http::request::{BODY_MAX, HEADERS_BYTES_MAX};
use crate::http::respond::{Answer, Refused};
use crate::http::server::{Connected, Handler, Stream, answer};
use crate::telemetry::labels::Ended;
use crate::telemetry::request_id::RequestId;

/// Concurrent streams of a connection. RFC 9113 (6.5.2) asks for 100 at least; an app needs few, and a
/// proxy opens another connection.
const STREAMS_MAX: u32 = 128;
/// Requests that were cancelled before a handler had them; they no longer count towards `STREAMS_MAX`.
const WAITING_RESETS_MAX: usize = 20;
/// Streams that the gateway resets for protocol errors, over the life of a connection.
const OWN_RESETS_MAX: usize = 64;
/// The stored size of a header list as HPACK counts it, 32 bytes added to each name and value. Twice what
/// a request may have, so that the gateway itself refuses slightly larger ones; beyond it h2 answers with
/// a bare 431.
const HEADER_LIST_MAX: u32 = 2 * HEADERS_BYTES_MAX as u32;
/// The smallest size allowed (RFC 9113, 6.5.2); bodies and responses are hardly larger.
const FRAME_MAX: u32 = 16 * 1024;
/// What a stream may send before it is read: several times the largest body on the public listener.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all streams together; handlers read a body up to its limit.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Response bytes that a stream buffers.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// Interval of PINGs.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Timeout of the PING acknowledgement.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// After a GOAWAY, the time for the client to acknowledge it (h2 sends a PING after it). Requests that
/// the client sent before its acknowledgement are answered.
const GOAWAY_MAX: Duration = Duration::from_secs(3);

const _: () = assert!(BODY_MAX < STREAM_WINDOW as usize, "a body that is allowed never waits for a window");

/// Streams run on the thread of their connection.
#[derive(Clone, Copy)]
struct ThisThread;

impl<F: Future<Output: 'static> + 'static> Executor<F> for ThisThread {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}

/// Serves a connection to its end.
pub(super) async fn serve<H: Handler>(
    stream: impl Stream,
    connected: Rc<Connected<H>>,
    idle_timeout: Duration,
    write_timeout: Duration,
) -> Ended {
    let address = connected.peer.address();
    let budget = Budget::new();
    let in_flight = InFlightRequests::new();
    let service = {
        let (budget, in_flight, connected) = (budget.clone(), in_flight.clone(), connected.clone());
        service_fn(move |request: Request<Incoming>| {
            budget.request();
            respond(connected.clone(), request, in_flight.begin())
        })
    };
    let mut counted = TokioIo::new(ObservedIo::new(stream, FrameObserver::new(budget)));
    let mut connection = Box::pin(
        http2::Builder::new(ThisThread)
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(WAITING_RESETS_MAX)
            .max_local_error_reset_streams(OWN_RESETS_MAX)
            .max_header_list_size(HEADER_LIST_MAX)
            .max_frame_size(FRAME_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(&mut counted, service),
    );
    let lifetime = &connected.lifetime;
    let mut is_stalled = false;
    let how = {
        let mut drains = pin!(lifetime.drain().reaches(DrainPhase::Drain));
        let mut alarm = pin!(tokio::time::sleep(idle_timeout.min(write_timeout)));
        let (mut is_registered, mut is_ending, mut was_idle) = (false, false, false);
        let serving = std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    return Poll::Ready(outcome);
                }
                // As in `http1`: the check takes a lock that all connections share. The phase change
                // wakes this task.
                if !is_registered {
                    is_registered = true;
                    let _ = drains.as_mut().poll(cx);
                }
                if !is_ending && lifetime.end().is_some() {
                    is_ending = true;
                } else {
                    if alarm.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let (quiet, patience) =
                        if is_ending { (GOAWAY_MAX, LINGER) } else { (idle_timeout, write_timeout) };
                    let now = Instant::now();
                    let idle_at = in_flight.idle_since() + quiet;
                    // A response that arrives after this look must be found, too.
                    let stalled_at = in_flight.no_progress_since().unwrap_or(now) + patience;
                    let is_idle = idle_at <= now;
                    if !is_idle && !is_stalled && stalled_at > now {
                        alarm.as_mut().reset(idle_at.min(stalled_at));
                        continue;
                    }
                    is_stalled |= stalled_at <= now;
                    if is_ending {
                        // A client that has not read the last responses by now does not want them.
                        return Poll::Ready(Ok(()));
                    }
                    (is_ending, was_idle) = (true, is_idle);
                }
                // GOAWAY: requests that arrived are answered, later ones need another connection.
                connection.as_mut().graceful_shutdown();
                in_flight.touch();
                alarm.as_mut().reset(Instant::now() + LINGER);
            }
        });
        match serving.await {
            Ok(()) if was_idle => Ended::Idle,
            Ok(()) => lifetime.end().unwrap_or(Ended::Closed),
            Err(error) => {
                tracing::debug!(%address, %error, "an HTTP/2 connection was ended");
                Ended::Http2Error
            }
        }
    };
    drop(connection);
    let stream = counted.into_inner().into_inner();
    if is_stalled {
        // As in `http1`: a reset also frees the kernel's buffers of a client that does not read.
        let _ = SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO));
        return Ended::SlowReader;
    }
    close(stream, LINGER, H::LINGER_BYTES_MAX).await;
    how
}

/// Answers one request once the connection has room for its response.
async fn respond<H: Handler>(
    connected: Rc<Connected<H>>,
    request: Request<Incoming>,
    one: InFlightRequest,
) -> Result<Response<Metered>, Infallible> {
    let is_head = request.method() == Method::HEAD;
    let mut answer = if one.room(request.headers()).await {
        let Ok(answer) = answer(connected, request).await;
        answer
    } else {
        let mut answer = Refused::not_taken(Shed::Unsent).into_answer();
        RequestId::new().mark(answer.headers_mut());
        connected.handler.refused(Ok(answer.body().class));
        answer
    };
    if is_head {
        answer = without_body(answer);
    }
    Ok(answer.map(|body| one.meter(body)))
}

/// The response to a HEAD: that to a GET with its length and without a body. hyper leaves the body out
/// for HTTP/1.1, but sends it for HTTP/2, which is a protocol error (RFC 9110, section 9.3.2).
fn without_body(mut answer: Answer) -> Answer {
    let length = answer.body().size_hint().exact().filter(|length| *length > 0);
    if let Some(length) = length {
        answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    answer.map(super::body::Body::without_bytes)
}
