//! The progress of this process's sweeper with a sale.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::scripts::Failure;

/// Nothing is left to sweep.
const NONE: i64 = i64::MAX;

/// The sweeper's progress.
pub struct SweepStatus {
    since: Instant,
    /// When a tick and its sweeps last succeeded, or the sale was read from the Redis that serves
    /// it, in microseconds after `since`.
    last_success_us: AtomicU64,
    /// The sale clock of the last tick, in ms.
    sale_clock: AtomicI64,
    /// The due time of the first remaining holds on the sale clock, and their number.
    due: AtomicI64,
    made: AtomicU64,
    replayed: AtomicU64,
    lost: AtomicU64,
    /// Since when Redis refuses to run the tick, and why.
    refusal: Mutex<Option<(Instant, String)>>,
}

impl Default for SweepStatus {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            last_success_us: AtomicU64::new(0),
            sale_clock: AtomicI64::new(0),
            due: AtomicI64::new(NONE),
            made: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            refusal: Mutex::default(),
        }
    }
}

impl SweepStatus {
    /// Stores whether Redis ran the tick. A refusal by the ledger counts as run.
    pub(crate) fn note_tick_result(&self, failure: Option<&Failure>) {
        let failure = failure.filter(|failure| !matches!(failure, Failure::Refused(_)));
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        *refusal = failure.map(|failure| {
            (refusal.as_ref().map_or_else(Instant::now, |(since, _)| *since), failure.to_string())
        });
    }

    /// How long Redis has not run the tick, and why; `None`: it ran the last one.
    #[must_use]
    pub fn tick_refused_for(&self) -> Option<(Duration, String)> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.as_ref().map(|(since, why)| (since.elapsed(), why.clone()))
    }

    pub(crate) fn note_tick(&self, sale_clock: i64) {
        self.sale_clock.store(sale_clock, Relaxed);
    }

    pub(crate) fn note_swept(&self, left: Option<(i64, u64)>) {
        let (due, made) = left.unwrap_or((NONE, 0));
        self.due.store(due, Relaxed);
        self.made.store(made, Relaxed);
    }

    pub(crate) fn note_success(&self) {
        let at = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.last_success_us.store(at.max(1), Relaxed);
    }

    /// When a tick and its sweeps last succeeded here.
    pub(crate) fn last_success(&self) -> Option<Instant> {
        let at = self.last_success_us.load(Relaxed);
        (at > 0).then(|| self.since + Duration::from_micros(at))
    }

    pub(crate) fn note_replayed(&self, changes: u64, lost: u64) {
        self.replayed.fetch_add(changes - lost, Relaxed);
        self.lost.fetch_add(lost, Relaxed);
    }

    /// Changes that this gateway replayed after a failover, and those among them that no gateway
    /// had.
    #[must_use]
    pub fn replayed_changes(&self) -> (u64, u64) {
        (self.replayed.load(Relaxed), self.lost.load(Relaxed))
    }

    /// The time since a tick and its sweeps last succeeded, or since this process read the sale.
    #[must_use]
    pub fn lag(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since + Duration::from_micros(self.last_success_us.load(Relaxed)))
    }

    /// How long holds have been due without a sweep, on the sale clock, and at least how many:
    /// those of their oldest batch.
    #[must_use]
    pub fn overdue(&self) -> (Duration, u64) {
        let late = self.sale_clock.load(Relaxed).saturating_sub(self.due.load(Relaxed));
        match u64::try_from(late) {
            Ok(late) => (Duration::from_millis(late), self.made.load(Relaxed)),
            Err(_) => (Duration::ZERO, 0),
        }
    }
}

#[cfg(test)]
mod tests;
