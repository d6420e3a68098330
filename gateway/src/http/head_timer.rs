//! The deadlines of an idle connection and of a request's head: one timer for each connection, not one for each request.
//!
//! hyper asks its timer for a new sleep whenever it begins to wait for a head, and drops it when the
//! head has come. In tokio's wheel each would be let in and taken out again, next to those of other
//! connections that are in no cache any more. Here a sleep only notes its deadline, and one timer
//! wakes the connection when the deadline that was noted last can be over. hyper has one time-out for
//! both; here the wait is idle until its first byte, and from then on that of a head.
//!
//! The same timer watches over clients that do not take in their answers (see `stall.rs`), for which
//! hyper has no time-out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use crate::http::drain::QUIET;

/// No deadline is noted.
const NONE: u64 = u64::MAX;

/// What hyper and the connection share. All on one thread; hyper wants it to be `Sync`.
struct TimerState {
    since: Instant,
    idle: Duration,
    head: Duration,
    /// Of the first byte of a head, then of the head, in nanoseconds from `since`.
    deadline: AtomicU64,
    is_over: AtomicBool,
    /// Bytes have come since hyper began to wait.
    has_bytes: AtomicBool,
    /// The deadline is that of a head.
    is_head: AtomicBool,
    /// Idle connections close soon.
    is_closing: AtomicBool,
    /// By when a client that takes in nothing must have taken in something; likewise.
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

/// Hyper's timer, for one connection.
pub(super) struct HeadTimer(Arc<TimerState>);

/// The one timer that really runs. It must be polled by the task that polls hyper's connection, before it.
pub(super) struct TimerWatch {
    timer_state: Arc<TimerState>,
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// When the sleep ends, likewise in nanoseconds.
    ends: u64,
    is_registered: bool,
}

/// Notes what a connection's stream does.
pub(super) struct StreamTimer(Arc<TimerState>);

impl StreamTimer {
    /// Writing waits for the client from now on, unless it did before.
    pub(super) fn start_write(&self) {
        if self.0.write_deadline.load(Relaxed) == NONE {
            self.0.write_deadline.store(self.0.ns(Instant::now() + self.0.head), Relaxed);
        }
    }

    /// It has taken in something.
    pub(super) fn stop_write(&self) {
        self.0.write_deadline.store(NONE, Relaxed);
    }

    /// It has sent something.
    pub(super) fn note_read(&self) {
        self.0.has_bytes.store(true, Relaxed);
    }
}

/// A timer for a connection that may be idle so long, and whose heads and pending writes may take so long.
pub(super) fn head_timer(idle: Duration, head: Duration) -> (HeadTimer, TimerWatch) {
    let timer_state = Arc::new(TimerState {
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
    let sleep = Box::pin(tokio::time::sleep_until((timer_state.since + head).into()));
    let ends = timer_state.ns(timer_state.since + head);
    (HeadTimer(timer_state.clone()), TimerWatch { timer_state, sleep, ends, is_registered: false })
}

impl TimerWatch {
    /// For the connection's stream.
    pub(super) fn stream_timer(&self) -> StreamTimer {
        StreamTimer(self.timer_state.clone())
    }

    /// Looks whether a deadline is over: hyper will find that of the head so, and of that of a client
    /// who takes in nothing this is ready. Wakes the task when one can be.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A task keeps its waker, so that it need not be registered anew at every poll.
        if self.is_registered && !self.sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.is_registered = true;
        while self.sleep.as_mut().poll(cx).is_ready() {
            let now = self.timer_state.ns(Instant::now());
            if self.timer_state.write_deadline.load(Relaxed) <= now {
                return Poll::Ready(());
            }
            if self.timer_state.deadline.load(Relaxed) <= now {
                self.timer_state.is_over.store(true, Relaxed);
                return Poll::Pending;
            }
            let next = self.timer_state.next();
            // While a request is answered there is no deadline.
            let idle = self.timer_state.ns(Instant::now() + self.timer_state.idle);
            self.reset(if next == NONE { idle } else { next });
        }
        Poll::Pending
    }

    /// Sees to a deadline that is nearer than all that were noted before. After hyper's connection was polled.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>) {
        let next = self.timer_state.next();
        // Elapsed, and yet here: a head began in that moment.
        if next < self.ends || next != NONE && self.sleep.is_elapsed() {
            self.reset(next);
            if self.sleep.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Ends the wait for a request, now or whenever there is one, once it has lasted for a moment: one that is on its way
    /// arrives. A head that was begun has its time.
    pub(super) fn close_when_idle(&self) {
        self.timer_state.is_closing.store(true, Relaxed);
        let deadline = self.timer_state.deadline.load(Relaxed);
        if deadline != NONE && !self.timer_state.is_head.load(Relaxed) {
            let early = self.timer_state.idle.saturating_sub(QUIET);
            let early = u64::try_from(early.as_nanos()).unwrap_or(NONE);
            self.timer_state.deadline.store(deadline.saturating_sub(early), Relaxed);
        }
    }

    fn reset(&mut self, ends: u64) {
        self.ends = ends;
        self.sleep.as_mut().reset((self.timer_state.since + Duration::from_nanos(ends)).into());
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    /// A wait begins, which is idle at first: hyper is to be built with the idle time-out.
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let timer_state = &self.0;
        let mut deadline = timer_state.ns(deadline);
        if timer_state.is_closing.load(Relaxed) {
            deadline = deadline.min(timer_state.ns(Instant::now() + QUIET));
        }
        timer_state.deadline.store(deadline, Relaxed);
        // A head that came in the very moment in which its time was over is no fault of the next one.
        for mark in [&timer_state.is_over, &timer_state.has_bytes, &timer_state.is_head] {
            mark.store(false, Relaxed);
        }
        Box::pin(HeadSleep(timer_state.clone()))
    }
}

/// One wait for a head.
struct HeadSleep(Arc<TimerState>);

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// hyper has looked for a whole head before, and found none.
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let timer_state = &self.0;
        if timer_state.has_bytes.load(Relaxed) && !timer_state.is_head.load(Relaxed) {
            // It has begun, maybe in the very moment in which the idle time was over.
            timer_state.is_head.store(true, Relaxed);
            timer_state.is_over.store(false, Relaxed);
            timer_state.deadline.store(timer_state.ns(Instant::now() + timer_state.head), Relaxed);
        }
        if timer_state.is_over.load(Relaxed) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for HeadSleep {
    fn drop(&mut self) {
        self.0.deadline.store(NONE, Relaxed);
    }
}

#[cfg(test)]
mod tests;
