//! Holds the moments of a run that dashboards mark: start, opening, end.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use crate::base::clock::ServerClock;

/// The instants by the server's clock. They may be set long before, and are shown only once past.
#[derive(Debug)]
pub(crate) struct Moments {
    clock: ServerClock,
    instants: Mutex<Vec<(&'static str, Timestamp)>>,
}

impl Moments {
    pub(crate) fn new(clock: ServerClock) -> Moments {
        Moments { clock, instants: Mutex::default() }
    }

    /// Adds a moment and its instant.
    pub(crate) fn add(&self, moment: &'static str, at: Timestamp) {
        self.instants.lock().unwrap_or_else(PoisonError::into_inner).push((moment, at));
    }

    /// Those that have come.
    pub(crate) fn come(&self) -> Vec<(&'static str, Timestamp)> {
        let now = self.clock.at(Instant::now());
        let instants = self.instants.lock().unwrap_or_else(PoisonError::into_inner);
        instants.iter().filter(|(_, at)| *at <= now).copied().collect()
    }
}
