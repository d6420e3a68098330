//! Redis's clock, as this process last read it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::decision::Header;
use crate::projection::read_model::{READ_MODEL_AGE_MAX, Sale};

/// The last reading of Redis's clock, and its uncertainty.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub(super) time: i64,
    pub(super) at: Instant,
    pub(super) error_ms: i64,
}

impl Sale {
    /// Redis's current `TIME` and its uncertainty, in ms; `None` without a reading younger than
    /// [`READ_MODEL_AGE_MAX`].
    pub fn time(&self, now: Instant) -> Option<(i64, i64)> {
        let clock = self.clock.load();
        let clock = clock.as_ref()?;
        let age = now.saturating_duration_since(clock.at);
        (age < READ_MODEL_AGE_MAX).then(|| (clock.time + millis(age), clock.error_ms))
    }

    /// Redis's `TIME` that a tick of this process last wrote to the ledger.
    pub(crate) fn noted_time(&self) -> i64 {
        self.clock.load().as_ref().map_or(i64::MIN, |clock| clock.time)
    }

    /// The best estimate of Redis's current `TIME`; this host's wall clock without any reading.
    pub fn best_time(&self) -> i64 {
        match self.clock.load().as_ref() {
            Some(clock) => clock.time + millis(clock.at.elapsed()),
            None => jiff::Timestamp::now().as_millisecond(),
        }
    }

    /// Stores a script's reading of Redis's clock.
    pub fn read_clock(&self, header: &Header, sent: Instant) {
        let round_trip = sent.elapsed();
        // The reading is from between sending and now; host clocks drift by less than 1 ms a
        // second, and a reading is valid for one second.
        let error_ms = millis(round_trip) + 5;
        self.clock.store(Some(Arc::new(Clock { time: header.time, at: Instant::now(), error_ms })));
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
