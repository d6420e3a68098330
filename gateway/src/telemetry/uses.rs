//! How the parts of this process fare with Redis: connections, errors, whether it answers, when they last did their work.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What times are counted from.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One user of Redis.
#[derive(Debug, Default)]
pub struct RedisUse {
    connects: AtomicU64,
    errors: AtomicU64,
    is_up: AtomicBool,
    /// In ms after `START`, and 1 more; 0: never.
    worked_at: AtomicU64,
    /// Why the last attempt failed.
    reason: Mutex<Option<String>>,
}

/// That a user of Redis has not done its work for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// Since it last did; `None`: never yet.
    pub since: Option<Duration>,
    /// Why the last attempt failed; `None`: none has.
    pub reason: Option<String>,
}

impl RedisUse {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            connects: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            worked_at: AtomicU64::new(0),
            reason: Mutex::new(None),
        }
    }

    /// A connection was opened, and answers.
    pub fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
        self.is_up.store(true, Relaxed);
    }

    /// Redis answers.
    pub fn answered(&self) {
        self.is_up.store(true, Relaxed);
    }

    /// What it is there for was done: Redis ran the script, or gave the entries.
    pub fn worked(&self) {
        let now = u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.worked_at.store(now + 1, Relaxed);
        self.is_up.store(true, Relaxed);
        *self.lock() = None;
    }

    /// It could not be reached, gave no answer, or refused.
    pub fn failed(&self, reason: impl Display) {
        self.errors.fetch_add(1, Relaxed);
        self.is_up.store(false, Relaxed);
        *self.lock() = Some(reason.to_string());
    }

    /// Whether it has not done its work for longer than this.
    #[must_use]
    pub fn stalled(&self, limit: Duration) -> Option<Stalled> {
        let worked_at = self.worked_at.load(Relaxed).checked_sub(1).map(Duration::from_millis);
        let since = worked_at.map(|at| START.elapsed().saturating_sub(at));
        let is_stalled = since.is_none_or(|since| since > limit);
        is_stalled.then(|| Stalled { since, reason: self.reason() })
    }

    /// Why its last attempt failed; `None`: it worked.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Connections that were opened.
    #[must_use]
    pub fn connects(&self) -> u64 {
        self.connects.load(Relaxed)
    }

    /// What went wrong.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }

    /// Whether it answers, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
