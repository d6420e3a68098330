//! The line of taps that wait for the next batch: first come, first served, and no further in than can be served in time.
//!
//! All on one thread, so there are no locks; and since all taps wait equally long at most, the first
//! of the line is the first to be late, and one timer serves them all.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::decision::{Decision, Shed};
use crate::reserve::batch::QueueLimits;
use crate::reserve::batch::tap::{Tap, register, wake};
use crate::telemetry::labels::Stage;
use crate::telemetry::record::Recorder;

/// The taps that wait for the next batch, first come first served.
pub(crate) struct ReserveQueue {
    taps: RefCell<VecDeque<Tap>>,
    limits: QueueLimits,
    service_time: Cell<ServiceTime>,
    closed: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
    recorder: Arc<Recorder>,
}

impl ReserveQueue {
    /// Nobody waits yet.
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

    /// Lets a tap in at the end, or turns it away: if there is no room, or if it had to wait for more than half of what
    /// anybody may wait. More would come in than go out, and who comes now is better told so at once.
    pub(crate) fn push(&self, tap: Tap) {
        let mut taps = self.taps.borrow_mut();
        if taps.len() >= self.limits.queue_max {
            return tap.responder.answer(Decision::NotTaken(Shed::Queue));
        }
        if self.predict_wait(&taps, &tap) > self.limits.delay_max / 2 {
            return tap.responder.answer(Decision::NotTaken(Shed::Delay));
        }
        taps.push_back(tap);
        self.recorder.waiting.add(1);
        drop(taps);
        wake(&self.waiter);
    }

    /// How long a tap will have to wait: as long as the first one has by now, and at least for the batches before its own.
    /// Without that forecast the line fills while the first one has not waited yet, and nearly all of it waits in vain.
    fn predict_wait(&self, taps: &VecDeque<Tap>, tap: &Tap) -> Duration {
        let first = taps.front().map_or(Duration::ZERO, |first| tap.deadlines.send - first.deadlines.send);
        first.max(self.service_time.get().predict(taps.len() / self.limits.batch_max))
    }

    /// A batch was decided, which took so long.
    pub(crate) fn note_service_time(&self, round: Duration) {
        self.service_time.set(self.service_time.get().with(round));
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.taps.borrow().is_empty()
    }

    /// No more taps will come.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        wake(&self.waiter);
    }

    /// Waits for taps, and moves as many into the batch as it may have; `false` once none will come any more.
    pub(crate) async fn take(&self, batch: &mut Vec<Tap>) -> bool {
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

    /// When the first one will have waited too long, or whoever comes next, at the soonest.
    pub(crate) fn first_deadline(&self) -> Instant {
        let first = self.taps.borrow().front().map(|tap| tap.deadlines.send);
        first.unwrap_or_else(|| Instant::now() + self.limits.delay_max)
    }

    /// Turns away those who have waited too long: they were never sent.
    pub(crate) fn shed_late(&self, now: Instant) {
        let mut taps = self.taps.borrow_mut();
        while taps.front().is_some_and(|tap| tap.deadlines.send <= now) {
            if let Some(tap) = taps.pop_front() {
                self.recorder.waiting.sub(1);
                self.recorder.stage(Stage::Queue, now - tap.deadlines.queued);
                tap.responder.answer(Decision::NotTaken(Shed::Deadline));
            }
        }
    }
}

/// What a batch takes, lately: an average in which each new one counts for a quarter.
#[derive(Debug, Clone, Copy, Default)]
struct ServiceTime(Duration);

impl ServiceTime {
    fn with(self, round: Duration) -> Self {
        Self(if self.0.is_zero() { round } else { (self.0 * 3 + round) / 4 })
    }

    /// How long so many whole batches will take. None take no time: who gets into the next one is always let in,
    /// so that there is always one that tells how long they take by now.
    fn predict(self, batches: usize) -> Duration {
        self.0.saturating_mul(u32::try_from(batches).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests;
