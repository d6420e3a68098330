//! How the reaper of this process gets on with a sale.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::scripts::Failure;

/// Nothing is left to sweep.
const NONE: i64 = i64::MAX;

/// Written by the reaper.
pub struct Reaped {
    since: Instant,
    /// When a tick and its sweeps last worked, or the sale was read from the Redis that serves it, in microseconds after `since`.
    worked_at: AtomicU64,
    /// As of the last tick, in ms.
    sale_clock: AtomicI64,
    /// When the first holds that were left are due, on the sale clock, and how many there were.
    due: AtomicI64,
    made: AtomicU64,
    healed: AtomicU64,
    lost: AtomicU64,
    /// Since when the script of the tick has not been run, and why.
    refusal: Mutex<Option<(Instant, String)>>,
}

impl Default for Reaped {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            worked_at: AtomicU64::new(0),
            sale_clock: AtomicI64::new(0),
            due: AtomicI64::new(NONE),
            made: AtomicU64::new(0),
            healed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            refusal: Mutex::default(),
        }
    }
}

impl Reaped {
    /// Notes whether Redis ran the tick. What the ledger refuses was run.
    pub(crate) fn asked(&self, failure: Option<&Failure>) {
        let failure = failure.filter(|failure| !matches!(failure, Failure::Refused(_)));
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        *refusal = failure.map(|failure| {
            (refusal.as_ref().map_or_else(Instant::now, |(since, _)| *since), failure.to_string())
        });
    }

    /// For how long Redis has not run the tick, and why; `None`: it ran the last one.
    #[must_use]
    pub fn refused_for(&self) -> Option<(Duration, String)> {
        let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.as_ref().map(|(since, why)| (since.elapsed(), why.clone()))
    }

    pub(crate) fn ticked(&self, sale_clock: i64) {
        self.sale_clock.store(sale_clock, Relaxed);
    }

    pub(crate) fn swept(&self, left: Option<(i64, u64)>) {
        let (due, made) = left.unwrap_or((NONE, 0));
        self.due.store(due, Relaxed);
        self.made.store(made, Relaxed);
    }

    pub(crate) fn worked(&self) {
        let at = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.worked_at.store(at.max(1), Relaxed);
    }

    /// When a tick and its sweeps last worked here.
    pub(crate) fn worked_at(&self) -> Option<Instant> {
        let at = self.worked_at.load(Relaxed);
        (at > 0).then(|| self.since + Duration::from_micros(at))
    }

    pub(crate) fn healed(&self, changes: u64, lost: u64) {
        self.healed.fetch_add(changes - lost, Relaxed);
        self.lost.fetch_add(lost, Relaxed);
    }

    /// Changes that this gateway has appended again after a failover, and those among them that nobody knew any more.
    #[must_use]
    pub fn appended_again(&self) -> (u64, u64) {
        (self.healed.load(Relaxed), self.lost.load(Relaxed))
    }

    /// Since a tick and its sweeps last worked here, or since this process knows the sale.
    #[must_use]
    pub fn lag(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since + Duration::from_micros(self.worked_at.load(Relaxed)))
    }

    /// How long holds have been due that no sweep has come by, on the sale clock, and how many there are at least:
    /// as many as the oldest batch of them has made.
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
mod tests {
    use super::*;

    #[test]
    fn holds_are_overdue_once_the_sale_clock_has_come_to_them() {
        let reaped = Reaped::default();
        reaped.ticked(1_000);
        assert_eq!(reaped.overdue(), (Duration::ZERO, 0));
        reaped.swept(Some((3_000, 7)));
        assert_eq!(reaped.overdue(), (Duration::ZERO, 0));
        reaped.ticked(3_250);
        assert_eq!(reaped.overdue(), (Duration::from_millis(250), 7));
        reaped.swept(None);
        assert_eq!(reaped.overdue(), (Duration::ZERO, 0));
    }

    #[test]
    fn the_lag_is_that_since_it_last_worked() {
        let reaped = Reaped::default();
        let later = reaped.since + Duration::from_secs(5);
        assert_eq!(reaped.lag(later), Duration::from_secs(5));
        reaped.worked_at.store(3_000_000, Relaxed);
        assert_eq!(reaped.lag(later), Duration::from_secs(2));
    }
}
