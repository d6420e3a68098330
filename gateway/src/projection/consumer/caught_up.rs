//! Records when all sales were last read up to the ends of their journals.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::projection::read_model::lock;

/// When the consumers last reached the ends of their journals.
#[derive(Debug, Default)]
pub struct CaughtUp(Mutex<Parts>);

/// One consumer for all sales is called `""`; in a cluster each sale has one, called by its id.
#[derive(Debug, Default)]
struct Parts {
    /// Whether the list of consumers is complete.
    is_listed: bool,
    /// `None`: this consumer has never caught up.
    at: HashMap<String, Option<Instant>>,
}

impl CaughtUp {
    /// The age of the oldest one; `None`: at least one has never caught up.
    pub fn age(&self) -> Option<Duration> {
        let parts = lock(&self.0);
        let oldest =
            parts.at.values().try_fold(Duration::ZERO, |oldest, at| Some(oldest.max((*at)?.elapsed())));
        oldest.filter(|_| parts.is_listed)
    }

    pub(crate) fn note_caught_up(&self, part: &str) {
        let mut parts = lock(&self.0);
        parts.is_listed |= part.is_empty();
        parts.at.insert(part.to_owned(), Some(Instant::now()));
    }

    /// Adds a consumer that has not caught up yet.
    pub(crate) fn add_behind(&self, part: &str) {
        lock(&self.0).at.insert(part.to_owned(), None);
    }

    /// Removes a consumer, so that it no longer counts.
    pub(crate) fn remove(&self, part: &str) {
        lock(&self.0).at.remove(part);
    }

    /// Marks the list of consumers as complete.
    pub(crate) fn set_listed(&self) {
        lock(&self.0).is_listed = true;
    }
}

#[cfg(test)]
mod tests;
