//! When all sales were last known up to their ends.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When the consumers last knew their sales up to their ends.
#[derive(Debug, Default)]
pub struct CaughtUp(Mutex<Parts>);

/// One consumer knows all sales and is called `""`; in a cluster there is one for each sale, called by its id.
#[derive(Debug, Default)]
struct Parts {
    /// Whether it is known which parts there are.
    is_listed: bool,
    /// `None`: it never knew its sale up to the end.
    at: HashMap<String, Option<Instant>>,
}

impl CaughtUp {
    /// How long ago that was, of the one that is furthest behind; `None`: never yet.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let parts = self.lock();
        let oldest =
            parts.at.values().try_fold(Duration::ZERO, |oldest, at| Some(oldest.max((*at)?.elapsed())));
        oldest.filter(|_| parts.is_listed)
    }

    pub(crate) fn note_caught_up(&self, part: &str) {
        let mut parts = self.lock();
        parts.is_listed |= part.is_empty();
        match parts.at.get_mut(part) {
            Some(at) => *at = Some(Instant::now()),
            None => drop(parts.at.insert(part.to_owned(), Some(Instant::now()))),
        }
    }

    /// There is such a part, which has yet to be read.
    pub(crate) fn add_behind(&self, part: &str) {
        self.lock().at.insert(part.to_owned(), None);
    }

    /// Nobody waits for this part.
    pub(crate) fn remove(&self, part: &str) {
        self.lock().at.remove(part);
    }

    /// Every part is known.
    pub(crate) fn set_listed(&self) {
        self.lock().is_listed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
