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
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::domain::decision::ReserveCommand;
    use crate::projection::read_model::Sale;
    use crate::reserve::batch::Deadlines;

    const MS: Duration = Duration::from_millis(1);
    const ONE_CAR: &str = r#"{
        "sale": {"id": "fixture", "name": "A sale", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-01-01T00:00:00Z",
                 "hold": "15m", "grace": "60s", "per_buyer": 1, "attempts": 5, "currency": "CNY", "deposit": 1},
        "model": [{"id": "a", "name": "A", "price": 1, "stock": 10}],
        "stores": [{"id": "s", "name": "S", "city": "Guangzhou", "capacity": 10}]
    }"#;

    /// The immediate answer to a tap that comes so long after the first; `None`: it waits.
    fn push(line: &ReserveQueue, first: Instant, after: Duration) -> Option<Decision> {
        let sale = Sale::fixture(ONE_CAR, &[10, 10], (0, 0));
        let command = ReserveCommand {
            id: "id".to_owned(),
            sub: "ada".into(),
            fingerprint: "f".to_owned(),
            model: "a".to_owned(),
            packages: Vec::new(),
            store: "s".to_owned(),
            accept_partial: false,
        };
        let queued = first + after;
        let late = queued + line.limits.delay_max;
        let (tap, answer) =
            Tap::new(command, sale.add_pending(1), Deadlines { queued, send: late, answer: late });
        line.push(tap);
        answer.now_or_never()
    }

    #[test]
    fn a_tap_is_shed_at_once_if_its_predicted_wait_exceeds_half_of_the_limit() {
        let limits = QueueLimits { batch_max: 2, queue_max: 6, delay_max: 100 * MS };
        let line = ReserveQueue::new(limits, Arc::default());
        line.note_service_time(30 * MS);
        let first = Instant::now();
        let come =
            |times: usize| -> Vec<_> { (0..times).map(|_| push(&line, first, Duration::ZERO)).collect() };
        // Two are in the next batch, two wait for one batch, the next would wait for two: 60 ms.
        assert_eq!(come(4), [const { None }; 4]);
        let delay = Some(Decision::NotTaken(Shed::Delay));
        assert_eq!(come(2), [delay.clone(), delay.clone()]);
        // The ledger is faster again: now the line is as long as it may be.
        (0..16).for_each(|_| line.note_service_time(MS));
        assert_eq!(push(&line, first, 51 * MS), delay, "the first one has waited for so long");
        let queue = Some(Decision::NotTaken(Shed::Queue));
        assert_eq!(come(3), [None, None, queue]);
    }

    #[test]
    fn the_wait_is_that_for_the_batches_before() {
        let service_time = ServiceTime::default();
        assert_eq!(service_time.predict(1_000), Duration::ZERO, "nothing is known yet");
        let service_time = service_time.with(10 * MS);
        assert_eq!(
            (service_time.predict(0), service_time.predict(1), service_time.predict(7)),
            (Duration::ZERO, 10 * MS, 70 * MS)
        );
        assert_eq!(service_time.predict(usize::MAX), 10 * MS * u32::MAX);
    }

    #[test]
    fn a_batch_that_hung_is_soon_forgotten_and_a_slower_ledger_soon_known() {
        let usual = ServiceTime::default().with(10 * MS);
        let hung = usual.with(Duration::from_secs(1));
        assert!(hung.predict(1) > 200 * MS);
        assert_eq!(hung.predict(0), Duration::ZERO);
        let again = (0..16).fold(hung, |service_time, _| service_time.with(10 * MS));
        assert!(again.predict(1) < 13 * MS, "{again:?}");
        let slower = (0..16).fold(usual, |service_time, _| service_time.with(40 * MS));
        assert!(slower.predict(1) > 39 * MS, "{slower:?}");
    }
}
