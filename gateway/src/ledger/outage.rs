//! Tells of an outage when it begins, now and then while it lasts, and when it is over.

use std::cell::Cell;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two lines about the same outage.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// An outage of something that is tried again and again.
pub(crate) struct Outage {
    what: &'static str,
    since: Cell<Option<Instant>>,
    told: Cell<Option<Instant>>,
}

impl Outage {
    /// Of what, as a sentence: "the follower lost Redis".
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, since: Cell::new(None), told: Cell::new(None) }
    }

    /// It failed, maybe once more.
    pub(crate) fn goes_on(&self, error: impl Display) {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        if self.told.get().is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told.set(Some(Instant::now()));
            tracing::warn!(%error, for_ms = since.elapsed().as_millis(), "{}", self.what);
        }
    }

    /// It works.
    pub(crate) fn is_over(&self) {
        self.told.set(None);
        if let Some(since) = self.since.take() {
            tracing::info!(after_ms = since.elapsed().as_millis(), "over: {}", self.what);
        }
    }
}
