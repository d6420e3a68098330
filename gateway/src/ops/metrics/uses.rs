//! How the parts of this process fare with Redis: connections, errors, whether it answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// One user of Redis.
#[derive(Debug, Default)]
pub struct RedisUse {
    connects: AtomicU64,
    errors: AtomicU64,
    is_up: AtomicBool,
}

impl RedisUse {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { connects: AtomicU64::new(0), errors: AtomicU64::new(0), is_up: AtomicBool::new(false) }
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

    /// It could not be reached, or gave no answer.
    pub fn failed(&self) {
        self.errors.fetch_add(1, Relaxed);
        self.is_up.store(false, Relaxed);
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
}
