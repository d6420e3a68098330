//! The state of each user of Redis in this process: connections, errors, reachability, last success.

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The origin of the times.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// One user of Redis.
#[derive(Debug, Default)]
pub struct RedisUse {
    connects: AtomicU64,
    errors: AtomicU64,
    is_up: AtomicBool,
    /// Time of the last success in ms after `START`, plus 1; 0: never.
    worked_at: AtomicU64,
    /// The error of the last attempt.
    reason: Mutex<Option<String>>,
}

/// A user of Redis without a success for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stalled {
    /// Time since the last success; `None`: never.
    pub since: Option<Duration>,
    /// The error of the last attempt; `None`: it succeeded.
    pub reason: Option<String>,
}

impl RedisUse {
    /// A user without any attempt.
    pub const fn new() -> Self {
        Self {
            connects: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            worked_at: AtomicU64::new(0),
            reason: Mutex::new(None),
        }
    }

    /// Records an opened connection.
    pub fn connected(&self) {
        self.connects.fetch_add(1, Relaxed);
        self.is_up.store(true, Relaxed);
    }

    /// Records a reply.
    pub fn answered(&self) {
        self.is_up.store(true, Relaxed);
    }

    /// Records a success: Redis ran the script, or returned the entries.
    pub fn worked(&self) {
        let now = u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.worked_at.store(now + 1, Relaxed);
        self.is_up.store(true, Relaxed);
        *self.lock() = None;
    }

    /// Records a failed connection, a missing reply or an error reply.
    pub fn failed(&self, reason: impl Display) {
        self.errors.fetch_add(1, Relaxed);
        self.is_up.store(false, Relaxed);
        *self.lock() = Some(reason.to_string());
    }

    /// The stall, if there was no success for longer than this.
    pub fn stalled(&self, limit: Duration) -> Option<Stalled> {
        let worked_at = self.worked_at.load(Relaxed).checked_sub(1).map(Duration::from_millis);
        let since = worked_at.map(|at| START.elapsed().saturating_sub(at));
        let is_stalled = since.is_none_or(|since| since > limit);
        is_stalled.then(|| Stalled { since, reason: self.reason() })
    }

    /// The error of the last attempt; `None`: it succeeded.
    pub fn reason(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Opened connections, and failed attempts.
    pub fn connects_and_errors(&self) -> [u64; 2] {
        [self.connects.load(Relaxed), self.errors.load(Relaxed)]
    }

    /// Whether the last attempt got a reply.
    pub fn is_up(&self) -> bool {
        self.is_up.load(Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
