//! The queue of taps for the next batch: first come, first served, bounded by size and predicted wait.
//!
//! It is on one thread, so it has no locks. All taps may wait equally long, so the first is the first to be late, and
//! one timer is enough.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::decision::Shed;
use crate::reserve::batch::tap::{Tap, register, wake};
use crate::reserve::batch::{Batched, QueueLimits};
use crate::telemetry::labels::Stage;
use crate::telemetry::record::Recorder;

/// The queue of taps for the next batch, first come, first served.
pub(crate) struct ReserveQueue<C: Batched> {
    taps: RefCell<VecDeque<Tap<C>>>,
    limits: QueueLimits,
    service_time: Cell<ServiceTime>,
    closed: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
    recorder: Arc<Recorder>,
}

impl<C: Batched> ReserveQueue<C> {
    /// An empty queue.
    pub(crate) fn new(limits: QueueLimits, recorder: Arc<Recorder>) -> Self {
        Self {
            recorder,
            taps: RefCell::default(),
            limits,
            service_time: Cell::default(),
            closed: Cell::new(false),
            waiter: RefCell::new(None),
        }
    }

    /// Appends a tap, or sheds it if the queue is full or the predicted wait exceeds half of the
    /// longest. Above that more taps arrive than are decided, so an early refusal is better.
    pub(crate) fn push(&self, tap: Tap<C>) {
        let mut taps = self.taps.borrow_mut();
        if taps.len() >= self.limits.queue_max {
            return tap.responder.answer(C::not_taken(Shed::Queue));
        }
        if self.predict_wait(&taps, &tap) > self.limits.delay_max / 2 {
            return tap.responder.answer(C::not_taken(Shed::Delay));
        }
        taps.push_back(tap);
        self.recorder.waiting.add(1);
        drop(taps);
        wake(&self.waiter);
    }

    /// The predicted wait: at least that of the first tap so far, and that of the batches before
    /// this one. Without this prediction the queue fills while its first tap is still new, and most
    /// of it waits in vain.
    fn predict_wait(&self, taps: &VecDeque<Tap<C>>, tap: &Tap<C>) -> Duration {
        let first = taps.front().map_or(Duration::ZERO, |first| tap.deadlines.send - first.deadlines.send);
        first.max(self.service_time.get().predict(taps.len() / self.limits.batch_max))
    }

    /// Adds the service time of a batch.
    pub(crate) fn note_service_time(&self, round: Duration) {
        self.service_time.set(self.service_time.get().with(round));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.taps.borrow().is_empty()
    }

    /// Closes the queue: no more taps will come.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        wake(&self.waiter);
    }

    /// Waits for taps, and moves as many into the batch as it may have; `false` once the queue is
    /// closed and empty.
    pub(crate) async fn take(&self, batch: &mut Vec<Tap<C>>) -> bool {
        std::future::poll_fn(|cx| {
            let mut taps = self.taps.borrow_mut();
            if taps.is_empty() && !self.closed.get() {
                register(&self.waiter, cx);
                return Poll::Pending;
            }
            let few = taps.len().min(self.limits.batch_max);
            batch.extend(taps.drain(..few));
            self.recorder.waiting.sub(few as u64);
            Poll::Ready(few > 0)
        })
        .await
    }

    /// The earliest deadline of a queued or future tap.
    pub(crate) fn first_deadline(&self) -> Instant {
        let first = self.taps.borrow().front().map(|tap| tap.deadlines.send);
        first.unwrap_or_else(|| Instant::now() + self.limits.delay_max)
    }

    /// Sheds the taps that are past their deadline: they were never sent.
    pub(crate) fn shed_late(&self, now: Instant) {
        let mut taps = self.taps.borrow_mut();
        while taps.front().is_some_and(|tap| tap.deadlines.send <= now) {
            if let Some(tap) = taps.pop_front() {
                self.recorder.waiting.sub(1);
                self.recorder.stage(Stage::Queue, now - tap.deadlines.queued);
                tap.responder.answer(C::not_taken(Shed::Deadline));
            }
        }
    }
}

/// The service-time estimate of a batch: a moving average in which a new sample has a weight of a
/// quarter.
#[derive(Debug, Clone, Copy, Default)]
struct ServiceTime(Duration);

impl ServiceTime {
    fn with(self, round: Duration) -> Self {
        Self(if self.0.is_zero() { round } else { (self.0 * 3 + round) / 4 })
    }

    /// The estimate for this many whole batches. Zero batches take no time: a tap for the next
    /// batch is always accepted, so that new samples keep coming.
    fn predict(self, batches: usize) -> Duration {
        self.0.saturating_mul(u32::try_from(batches).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
