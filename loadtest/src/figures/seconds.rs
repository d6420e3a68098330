//! Keeps the counts of each second of a run, for seconds.csv and the chart of arrivals.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::figures::time_line::Slot;
use crate::figures::{AnswerClass, PackedLatency};

/// A second. Requests are of all names, those of bots included.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Second {
    /// Work that was intended to start in it, and that started in it.
    pub(crate) intended: u64,
    pub(crate) started: u64,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) limited: u64,
    pub(crate) shed: u64,
    pub(crate) lost: u64,
    /// Taps of honest buyers that came to their outcome in it: all, those with a reservation, and those that were
    /// refused as sold out.
    pub(crate) taps: u64,
    pub(crate) winners: u64,
    pub(crate) sold_out: u64,
    /// Of the requests that ended in it; a lost one counts as long as its client would have waited.
    latency: PackedLatency,
}

impl Second {
    pub(super) fn answered(&mut self, took: Duration, class: AnswerClass) {
        self.answered += 1;
        match class {
            AnswerClass::Failed => self.failed += 1,
            AnswerClass::Limited => self.limited += 1,
            AnswerClass::Shed => self.shed += 1,
            AnswerClass::Decided | AnswerClass::Unknown => {}
        }
        self.latency.record(took);
    }

    pub(super) fn lost(&mut self, patience: Duration) {
        self.lost += 1;
        self.latency.record(patience);
    }

    /// Nothing happened, whatever was intended.
    pub(crate) fn is_idle(&self) -> bool {
        self.started + self.sent + self.answered + self.lost + self.taps == 0
    }

    /// `None` where no request ended. `quantile` is 0 to 1.
    pub(crate) fn latency_at(&self, quantile: f64) -> Option<Duration> {
        self.latency.whole().at(quantile)
    }
}

impl Slot for Second {
    /// Two days, with some 200 bytes each.
    const SLOTS_MAX: i64 = 2 * 24 * 3600;

    fn add(&mut self, other: &Second) {
        self.intended += other.intended;
        self.started += other.started;
        self.sent += other.sent;
        self.answered += other.answered;
        self.failed += other.failed;
        self.limited += other.limited;
        self.shed += other.shed;
        self.lost += other.lost;
        self.taps += other.taps;
        self.winners += other.winners;
        self.sold_out += other.sold_out;
        self.latency.add(&other.latency);
    }

    fn close(&mut self) {
        self.latency.pack();
    }
}

#[cfg(test)]
mod tests;
