//! The requests of one HTTP/2 connection: their number, their unsent response bytes, and their last progress.
//!
//! A connection can be busy for ever while one response makes no progress: a client with a window of 0
//! sends a cheap request now and then. So each response has its own clock, and a limit on unsent bytes
//! stops new responses.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Frame, SizeHint};
use hyper::http::HeaderMap;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::http::body::Body;

/// Unsent response bytes at which a connection starts no further request: eight of the largest pages.
pub(super) const UNSENT_MAX: usize = 512 * 1024;
/// Header bytes of requests that wait for room; more requests get 503. Enough for all streams of a normal
/// client.
const WAITING_HEADERS_MAX: usize = 256 * 1024;
/// What a client must read of each response within the write timeout, unless the response ends.
const PROGRESS_BYTES: usize = 1_024;

/// The requests of a connection.
pub(super) struct InFlightRequests {
    /// Handlers, bodies and response chunks that are not finished.
    count: Cell<usize>,
    /// When the last one finished, or the connection's end began.
    last: Cell<Instant>,
    /// Response bytes that are ready and unsent.
    unsent: Cell<usize>,
    /// A slot for each response with unsent bytes.
    answers: RefCell<Vec<Option<ResponseProgress>>>,
    /// Header bytes of requests that wait for room.
    waiting: Cell<usize>,
    /// Wakes the first waiting request.
    room: Notify,
}

/// The progress of a response.
struct ResponseProgress {
    /// When it last made progress.
    since: Instant,
    /// Bytes sent since then, less than `PROGRESS_BYTES`.
    sent: usize,
}

impl InFlightRequests {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            count: Cell::new(0),
            last: Cell::new(Instant::now()),
            unsent: Cell::new(0),
            answers: RefCell::default(),
            waiting: Cell::new(0),
            room: Notify::new(),
        })
    }

    /// Counts a request until every clone of the result is dropped.
    pub(super) fn begin(self: &Rc<Self>) -> InFlightRequest {
        self.count.set(self.count.get() + 1);
        InFlightRequest(self.clone())
    }

    /// Since when the connection is idle: now, while any request is in flight.
    pub(super) fn idle_since(&self) -> Instant {
        if self.count.get() > 0 { Instant::now() } else { self.last.get() }
    }

    /// Restarts the idle clock; the connection's end begins.
    pub(super) fn touch(&self) {
        self.last.set(Instant::now());
    }

    /// When the response that waits longest last made progress.
    pub(super) fn no_progress_since(&self) -> Option<Instant> {
        self.answers.borrow().iter().flatten().map(|progress| progress.since).min()
    }

    fn has_room(&self) -> bool {
        self.unsent.get() < UNSENT_MAX
    }

    fn free(&self, bytes: usize) {
        let was_full = !self.has_room();
        self.unsent.set(self.unsent.get() - bytes);
        if was_full && self.has_room() {
            self.room.notify_one();
        }
    }
}

/// A request in flight, until all clones are dropped.
pub(super) struct InFlightRequest(Rc<InFlightRequests>);

impl Clone for InFlightRequest {
    fn clone(&self) -> Self {
        self.0.begin()
    }
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.touch();
    }
}

impl InFlightRequest {
    /// Waits until there is room for the response to a request with these headers; `false`: too many wait
    /// already.
    pub(super) async fn room(&self, headers: &HeaderMap) -> bool {
        let in_flight = &self.0;
        if in_flight.has_room() {
            return true;
        }
        let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        if in_flight.waiting.get() + bytes > WAITING_HEADERS_MAX {
            return false;
        }
        let _waiting = WaitingHeaders::begin(in_flight, bytes);
        while !in_flight.has_room() {
            in_flight.room.notified().await;
        }
        true
    }

    /// Wraps a response body, whose bytes count until they are sent.
    pub(super) fn meter(self, body: Body) -> Metered {
        Metered { body, one: self }
    }
}

/// Header bytes of a waiting request.
struct WaitingHeaders<'a> {
    in_flight: &'a InFlightRequests,
    bytes: usize,
}

impl<'a> WaitingHeaders<'a> {
    fn begin(in_flight: &'a InFlightRequests, bytes: usize) -> Self {
        in_flight.waiting.set(in_flight.waiting.get() + bytes);
        Self { in_flight, bytes }
    }
}

impl Drop for WaitingHeaders<'_> {
    fn drop(&mut self) {
        self.in_flight.waiting.set(self.in_flight.waiting.get() - self.bytes);
        // Whether it proceeds or was cancelled, the next one checks whether there is still room.
        self.in_flight.room.notify_one();
    }
}

/// The body of an answer on HTTP/2.
pub(super) struct Metered {
    body: Body,
    one: InFlightRequest,
}

impl hyper::body::Body for Metered {
    type Data = Chunk;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Chunk>, Infallible>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map(|frame| frame.map(|Ok(frame)| Ok(frame.map_data(|bytes| Chunk::new(bytes, &self.one)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes that h2 holds until the client's window and the socket accept them.
pub(super) struct Chunk {
    bytes: Bytes,
    /// The response's slot.
    slot: usize,
    one: InFlightRequest,
}

impl Chunk {
    fn new(bytes: Bytes, one: &InFlightRequest) -> Self {
        let in_flight = &one.0;
        in_flight.unsent.set(in_flight.unsent.get() + bytes.len());
        let progress = Some(ResponseProgress { since: Instant::now(), sent: 0 });
        let mut answers = in_flight.answers.borrow_mut();
        let slot = answers.iter().position(Option::is_none).unwrap_or(answers.len());
        match answers.get_mut(slot) {
            Some(free) => *free = progress,
            None => answers.push(progress),
        }
        Self { bytes, slot, one: one.clone() }
    }
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, sent: usize) {
        self.bytes.advance(sent);
        let in_flight = &self.one.0;
        if let Some(Some(progress)) = in_flight.answers.borrow_mut().get_mut(self.slot) {
            progress.sent += sent;
            if progress.sent >= PROGRESS_BYTES {
                *progress = ResponseProgress { since: Instant::now(), sent: 0 };
            }
        }
        in_flight.free(sent);
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        let in_flight = &self.one.0;
        if let Some(progress) = in_flight.answers.borrow_mut().get_mut(self.slot) {
            *progress = None;
        }
        in_flight.free(self.bytes.len());
    }
}

#[cfg(test)]
mod tests;
