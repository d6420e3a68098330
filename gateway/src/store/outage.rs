//! Tells of an outage when it begins, now and then while it lasts, and when it is over.

use std::cell::Cell;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two lines about the same outage.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// An outage of something that is tried again and again. However often it begins and ends, it is logged at most twice in
/// `LOG_INTERVAL`.
pub(crate) struct Outage {
    what: &'static str,
    since: Cell<Option<Instant>>,
    /// When a line about any outage was last logged.
    logged: Cell<Option<Instant>>,
    /// Whether one was logged about this outage.
    is_logged: Cell<bool>,
}

impl Outage {
    /// Of what, as a sentence: "the consumer lost Redis".
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, since: Cell::new(None), logged: Cell::new(None), is_logged: Cell::new(false) }
    }

    /// It failed, maybe once more.
    pub(crate) fn record_failure(&self, error: impl Display) {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        if self.logged.get().is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            self.logged.set(Some(Instant::now()));
            self.is_logged.set(true);
            tracing::warn!(%error, for_ms = since.elapsed().as_millis(), "{}", self.what);
        }
    }

    /// It works.
    pub(crate) fn record_success(&self) {
        if let Some(since) = self.since.take()
            && self.is_logged.take()
        {
            tracing::info!(after_ms = since.elapsed().as_millis(), "over: {}", self.what);
        }
    }
}
