//! Holds the moments of a run that dashboards mark: start, opening, end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::Timestamp;

use crate::base::clock::ServerClock;

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Moment {
    Start,
    Opening,
    End,
}

impl Moment {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Moment::Start => "start",
            Moment::Opening => "opening",
            Moment::End => "end",
        }
    }
}

/// The instants by the server's clock. They may be set long before, and are shown only once past.
#[derive(Debug)]
pub(crate) struct Moments {
    clock: ServerClock,
    instants: Mutex<BTreeMap<Moment, Timestamp>>,
}

impl Moments {
    pub(crate) fn new(clock: ServerClock) -> Moments {
        Moments { clock, instants: Mutex::default() }
    }

    /// Sets the instant of a moment.
    pub(crate) fn set(&self, moment: Moment, at: Timestamp) {
        self.instants.lock().unwrap_or_else(PoisonError::into_inner).insert(moment, at);
    }

    /// Those that have come.
    pub(crate) fn come(&self) -> Vec<(Moment, Timestamp)> {
        let now = self.clock.at(Instant::now());
        let instants = self.instants.lock().unwrap_or_else(PoisonError::into_inner);
        instants.iter().filter(|(_, at)| **at <= now).map(|(moment, at)| (*moment, *at)).collect()
    }
}
