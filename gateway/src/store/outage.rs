//! Logs an outage at its start, at intervals while it lasts, and at its end.

use std::cell::Cell;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// The interval between two log lines about an outage.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// An outage of an operation that is retried. However often it begins and ends, it is logged at
/// most twice in `LOG_INTERVAL`.
pub(crate) struct Outage {
    what: &'static str,
    since: Cell<Option<Instant>>,
    /// When a line about any outage was last logged.
    logged: Cell<Option<Instant>>,
    /// Whether this outage was logged.
    is_logged: Cell<bool>,
}

impl Outage {
    /// Makes it for this sentence: "the consumer lost Redis".
    pub(crate) fn of(what: &'static str) -> Self {
        Self { what, since: Cell::new(None), logged: Cell::new(None), is_logged: Cell::new(false) }
    }

    /// Records a failure.
    pub(crate) fn record_failure(&self, error: impl Display) {
        let since = self.since.get().unwrap_or_else(Instant::now);
        self.since.set(Some(since));
        if self.logged.get().is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            self.logged.set(Some(Instant::now()));
            self.is_logged.set(true);
            tracing::warn!(%error, for_ms = since.elapsed().as_millis(), "{}", self.what);
        }
    }

    /// Records a success.
    pub(crate) fn record_success(&self) {
        if let Some(since) = self.since.take()
            && self.is_logged.take()
        {
            tracing::info!(after_ms = since.elapsed().as_millis(), "over: {}", self.what);
        }
    }
}
