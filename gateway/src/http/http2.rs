//! HTTP/2 (RFC 9113), for clients that ask for it in the handshake: every limit of a connection, and its orderly end.
//!
//! What a hostile client may try, and what bounds it:
//!
//! | | bounded by |
//! | --- | --- |
//! | more streams than allowed | h2 refuses them (`STREAMS_MAX`) and ends the connection (`OWN_RESETS_MAX`) |
//! | rapid reset | before a handler has them, h2 (`WAITING_RESETS_MAX`); after, `frame_budget.rs` |
//! | streams that we reset for their mistakes ("MadeYouReset") | h2 (`OWN_RESETS_MAX`) |
//! | CONTINUATION without end | h2: a quarter more frames than the largest header list takes, at least 5 |
//! | header list too large (HPACK bomb) | h2 stops storing it (`HEADER_LIST_MAX`) and answers 431 |
//! | empty DATA frames; very small ones | h2: 100 a connection; a budget of 25,600 bytes of overhead |
//! | floods of PING, SETTINGS, WINDOW_UPDATE, PRIORITY, unknown frames | `frame_budget.rs`; h2 answers one before it reads the next, so nothing piles up |
//! | a window of 0, answers never read | `STREAMS_MAX` answers of `SEND_BUFFER_MAX`; then the idle time-out |
//! | slow heads and bodies, silence | the idle time-out; the body's; PING |

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

use super::farewell::{LINGER, close};
use super::frame_budget::{Budget, Counted};
use super::request::{BODY_MAX, HEADERS_BYTES_MAX};
use super::server::{Connected, Handler, answer};
use crate::ops::metrics::labels::Ended;

/// Requests under way on one connection. RFC 9113 (6.5.2) asks for 100 at least; an app needs few, a
/// proxy opens another connection.
const STREAMS_MAX: u32 = 128;
/// Requests that were taken back before a handler had them; they are not among `STREAMS_MAX` any more.
const WAITING_RESETS_MAX: usize = 20;
/// Streams that we have reset for what was wrong with them, in the life of a connection.
const OWN_RESETS_MAX: usize = 64;
/// What is stored of a header list, by HPACK's measure: 32 bytes besides each name and value, the
/// target among them. Twice what a request may have, so that the refusal is ours if it has not much
/// more; beyond it h2 answers with a bare 431.
const HEADER_LIST_MAX: u32 = 2 * HEADERS_BYTES_MAX as u32;
/// The smallest that there is (RFC 9113, 6.5.2); bodies and answers are hardly larger.
const FRAME_MAX: u32 = 16 * 1024;
/// What a stream may send before it is read: several times the largest body on the public listener.
const STREAM_WINDOW: u32 = 64 * 1024;
/// What all streams together may; handlers read on until a body is as long as it may be.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// What waits on a stream for its reader.
const SEND_BUFFER_MAX: usize = 64 * 1024;
/// How often a connection is asked whether the other end is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Until it must have said so.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

const _: () = assert!(BODY_MAX < STREAM_WINDOW as usize, "a body that is allowed never waits for a window");

/// The requests of a connection that their handlers have not answered yet.
struct UnderWay {
    count: Cell<usize>,
    /// When there was last one, or the end began.
    last: Cell<Instant>,
}

/// One of them.
struct One(Rc<UnderWay>);

impl One {
    fn begin(under_way: &Rc<UnderWay>) -> Self {
        under_way.count.set(under_way.count.get() + 1);
        Self(under_way.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.last.set(Instant::now());
    }
}

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
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    connected: Rc<Connected<H>>,
    idle_timeout: Duration,
    mut stop: watch::Receiver<bool>,
) -> Ended {
    let address = connected.peer.address();
    let budget = Budget::new();
    let under_way = Rc::new(UnderWay { count: Cell::new(0), last: Cell::new(Instant::now()) });
    let service = {
        let (budget, under_way) = (budget.clone(), under_way.clone());
        service_fn(move |request: Request<Incoming>| {
            budget.request();
            let one = One::begin(&under_way);
            let answering = answer(connected.clone(), request);
            async move {
                let mut answer = answering.await;
                // A stream is under way to its end.
                if let Ok(answer) = &mut answer {
                    answer.body_mut().keep(one);
                }
                answer
            }
        })
    };
    let stream = Rc::new(RefCell::new(stream));
    let counted = TokioIo::new(Counted::new(stream.clone(), budget));
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
            .serve_connection(counted, service),
    );
    let said = stop.clone();
    let how = {
        let mut stopped = pin!(stop.wait_for(|stop| *stop));
        let mut alarm = pin!(tokio::time::sleep(idle_timeout));
        let (mut is_registered, mut is_ending) = (false, false);
        let serving = std::future::poll_fn(|cx| {
            loop {
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    return Poll::Ready(outcome);
                }
                // As in `http1`: asking takes a lock that all connections share.
                let is_known = is_ending || is_registered && matches!(said.has_changed(), Ok(false));
                is_registered = true;
                if !is_known && stopped.as_mut().poll(cx).is_ready() {
                    is_ending = true;
                } else {
                    if alarm.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    let quiet = if is_ending { LINGER } else { idle_timeout };
                    // Handlers have time-outs of their own.
                    let is_busy = under_way.count.get() > 0;
                    let since = if is_busy { Instant::now() } else { under_way.last.get() };
                    if since + quiet > Instant::now() {
                        alarm.as_mut().reset(since + quiet);
                        continue;
                    }
                    if is_ending {
                        // Who has not read the last answers by now does not want them.
                        return Poll::Ready(Ok(()));
                    }
                    is_ending = true;
                }
                // GOAWAY: what has come is answered, what comes later is for another connection.
                connection.as_mut().graceful_shutdown();
                under_way.last.set(Instant::now());
                alarm.as_mut().reset(Instant::now() + LINGER);
            }
        });
        match serving.await {
            Ok(()) => Ended::Closed,
            Err(error) => {
                tracing::debug!(%address, %error, "an HTTP/2 connection was ended");
                Ended::Http2Error
            }
        }
    };
    drop(connection);
    if let Some(stream) = Rc::into_inner(stream) {
        close(stream.into_inner(), LINGER, H::LINGER_BYTES_MAX).await;
    }
    how
}
