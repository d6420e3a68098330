//! The progress of this process's sweeper with a sale.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::projection::read_model::lock;
use crate::store::scripts::Failure;

/// The sweeper's progress.
pub struct SweepStatus {
    since: Instant,
    progress: Mutex<SweepProgress>,
}

#[derive(Default)]
struct SweepProgress {
    /// When a tick and its sweeps last succeeded, or the sale was read from the Redis that serves
    /// it.
    last_success: Option<Instant>,
    /// The sale clock of the last tick, in ms.
    sale_clock: i64,
    /// The due time of the first remaining holds on the sale clock, and their number.
    left: Option<(i64, u64)>,
    replayed: u64,
    lost: u64,
    /// Since when Redis refuses to run the tick, and why.
    refusal: Option<(Instant, String)>,
}

impl Default for SweepStatus {
    fn default() -> Self {
        Self { since: Instant::now(), progress: Mutex::default() }
    }
}

impl SweepStatus {
    /// Stores whether Redis ran the tick. A refusal by the ledger counts as run.
    pub(crate) fn note_tick_result(&self, failure: Option<&Failure>) {
        let failure = failure.filter(|failure| !matches!(failure, Failure::Refused(_)));
        let refusal = &mut lock(&self.progress).refusal;
        let since = refusal.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *refusal = failure.map(|failure| (since, failure.to_string()));
    }

    /// How long Redis has not run the tick, and why; `None`: it ran the last one.
    pub fn tick_refused_for(&self) -> Option<(Duration, String)> {
        lock(&self.progress).refusal.as_ref().map(|(since, why)| (since.elapsed(), why.clone()))
    }

    pub(crate) fn note_tick(&self, sale_clock: i64) {
        lock(&self.progress).sale_clock = sale_clock;
    }

    pub(crate) fn note_swept(&self, left: Option<(i64, u64)>) {
        lock(&self.progress).left = left;
    }

    pub(crate) fn note_success(&self) {
        lock(&self.progress).last_success = Some(Instant::now());
    }

    /// When a tick and its sweeps last succeeded here.
    pub(crate) fn last_success(&self) -> Option<Instant> {
        lock(&self.progress).last_success
    }

    pub(crate) fn note_replayed(&self, changes: u64, lost: u64) {
        let mut progress = lock(&self.progress);
        progress.replayed += changes - lost;
        progress.lost += lost;
    }

    /// Changes that this gateway replayed after a failover, and those among them that no gateway
    /// had.
    pub fn replayed_changes(&self) -> (u64, u64) {
        let progress = lock(&self.progress);
        (progress.replayed, progress.lost)
    }

    /// The time since a tick and its sweeps last succeeded, or since this process read the sale.
    pub fn lag(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_success().unwrap_or(self.since))
    }

    /// How long holds have been due without a sweep, on the sale clock, and at least how many:
    /// those of their oldest batch.
    pub fn overdue(&self) -> (Duration, u64) {
        let progress = lock(&self.progress);
        let late = |(due, made)| {
            let late = u64::try_from(progress.sale_clock.saturating_sub(due)).ok()?;
            Some((Duration::from_millis(late), made))
        };
        progress.left.and_then(late).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
