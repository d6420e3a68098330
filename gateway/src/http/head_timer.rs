//! The deadlines of an idle connection and of a request head: one timer for each connection, not one for
//! each request.
//!
//! hyper takes a new sleep from its timer for every head and drops it when the head has arrived.
//! Inserting each into tokio's wheel misses the caches. Here a sleep only records its deadline, and one
//! timer wakes the connection when the latest deadline may have passed. hyper has one timeout: here it is
//! the idle one until the first byte, then the head's.
//!
//! The same timer covers slow readers. hyper stops reading while a response waits, so they cost little, but it has
//! no write timeout, so they would cost it for ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::http::drain::QUIET;
use crate::http::observed_io::Observer;

/// No deadline is set.
const NONE: u64 = u64::MAX;

/// State shared by hyper and the connection, all on one thread; hyper requires `Sync`.
struct TimerState {
    since: Instant,
    idle: Duration,
    head: Duration,
    /// Deadline of the first byte of a head, then of the head, in nanoseconds from `since`.
    deadline: AtomicU64,
    is_over: AtomicBool,
    /// Bytes have arrived since hyper began to wait.
    has_bytes: AtomicBool,
    /// The deadline is that of a head.
    is_head: AtomicBool,
    /// Idle connections are to close soon.
    is_closing: AtomicBool,
    /// Deadline of the pending write, in nanoseconds from `since`.
    write_deadline: AtomicU64,
}

impl TimerState {
    fn ns(&self, instant: Instant) -> u64 {
        let ns = instant.saturating_duration_since(self.since).as_nanos();
        u64::try_from(ns).unwrap_or(NONE)
    }

    fn next(&self) -> u64 {
        self.deadline.load(Relaxed).min(self.write_deadline.load(Relaxed))
    }
}

/// Hyper's timer, for one connection; it also records when writes to the stream stop and resume, and what is read.
pub(super) struct HeadTimer(Arc<TimerState>);

/// The real timer. The task that polls hyper's connection must poll it first.
pub(super) struct TimerWatch {
    state: Arc<TimerState>,
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// When the sleep ends, in nanoseconds from `since`.
    ends: u64,
    is_registered: bool,
}

impl Observer for HeadTimer {
    fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            self.0.has_bytes.store(true, Relaxed);
        }
        Ok(())
    }

    /// Starts the write deadline, unless it runs already; clears it when the client has read something.
    fn wrote(&mut self, bytes: Option<usize>) {
        let deadline = &self.0.write_deadline;
        if bytes.is_some() {
            deadline.store(NONE, Relaxed);
        } else if deadline.load(Relaxed) == NONE {
            deadline.store(self.0.ns(Instant::now() + self.0.head), Relaxed);
        }
    }
}

/// A timer for one connection with these timeouts; `head` also bounds pending writes.
pub(super) fn head_timer(idle: Duration, head: Duration) -> (HeadTimer, TimerWatch) {
    let state = Arc::new(TimerState {
        since: Instant::now(),
        idle,
        head,
        deadline: NONE.into(),
        is_over: false.into(),
        has_bytes: false.into(),
        is_head: false.into(),
        is_closing: false.into(),
        write_deadline: NONE.into(),
    });
    let sleep = Box::pin(tokio::time::sleep_until((state.since + head).into()));
    let ends = state.ns(state.since + head);
    (HeadTimer(state.clone()), TimerWatch { state, sleep, ends, is_registered: false })
}

impl TimerWatch {
    /// The timer that observes the connection's stream.
    pub(super) fn stream_timer(&self) -> HeadTimer {
        HeadTimer(self.state.clone())
    }

    /// Checks the deadlines. hyper notices that of a head by itself; this is ready when that of a write
    /// has passed. Registers a wake-up for the next deadline.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A task keeps its waker, so it need not be registered again at every poll.
        if self.is_registered && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.is_registered = true;
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = self.state.ns(Instant::now());
            if self.state.write_deadline.load(Relaxed) <= now {
                return Poll::Ready(());
            }
            if self.state.deadline.load(Relaxed) <= now {
                self.state.is_over.store(true, Relaxed);
                return Poll::Pending;
            }
            let next = self.state.next();
            // While a request is being answered there is no deadline.
            let idle = self.state.ns(Instant::now() + self.state.idle);
            self.reset(if next == NONE { idle } else { next });
        }
        Poll::Pending
    }

    /// Moves the sleep to a deadline that is nearer. Call it after hyper's connection was polled.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        let next = self.state.next();
        // Elapsed, yet the connection is alive: a head began at that moment.
        if next < self.ends || next != NONE && self.sleep.is_elapsed() {
            self.reset(next);
            if self.sleep.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Closes the connection at the next idle moment of some length, so that a request in transit still
    /// arrives. A head that has begun keeps its timeout.
    pub(super) fn close_when_idle(&self) {
        self.state.is_closing.store(true, Relaxed);
        let deadline = self.state.deadline.load(Relaxed);
        if deadline != NONE && !self.state.is_head.load(Relaxed) {
            let early = self.state.idle.saturating_sub(QUIET);
            let early = u64::try_from(early.as_nanos()).unwrap_or(NONE);
            self.state.deadline.store(deadline.saturating_sub(early), Relaxed);
        }
    }

    fn reset(&mut self, ends: u64) {
        self.ends = ends;
        self.sleep.as_mut().reset((self.state.since + Duration::from_nanos(ends)).into());
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    /// A wait begins as idle: hyper must be built with the idle timeout.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let state = &self.0;
        let mut deadline = state.ns(deadline);
        if state.is_closing.load(Relaxed) {
            deadline = deadline.min(state.ns(Instant::now() + QUIET));
        }
        state.deadline.store(deadline, Relaxed);
        // A head that arrived just as its time ran out must not count against the next one.
        for mark in [&state.is_over, &state.has_bytes, &state.is_head] {
            mark.store(false, Relaxed);
        }
        Box::pin(HeadSleep(state.clone()))
    }
}

/// One wait for a head.
struct HeadSleep(Arc<TimerState>);

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// hyper polls this after it has looked for a whole head and found none.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let state = &self.0;
        if state.has_bytes.load(Relaxed) && !state.is_head.load(Relaxed) {
            // A head has begun, maybe just as the idle timeout ran out.
            state.is_head.store(true, Relaxed);
            state.is_over.store(false, Relaxed);
            state.deadline.store(state.ns(Instant::now() + state.head), Relaxed);
        }
        if state.is_over.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.0.deadline.store(NONE, Relaxed);
    }
}

#[cfg(test)]
mod tests;
