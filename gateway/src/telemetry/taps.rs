//! Counts the responses to taps by sale: a set for each sale at each worker.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustc_hash::FxHashMap;

use crate::domain::label::label;
use crate::telemetry::labels::Outcome;
use crate::telemetry::record::{AnswerTimes, Array, Count, Sums};

label! {
    /// How a tap ended for its buyer.
    TapResult:
    /// The buyer has the reservation.
    Won "won",
    /// Refused for good, by the state of the sale or by the request.
    Refused "refused",
    /// The buyer has to ask again: 429, 500, 503.
    Undecided "undecided",
}

impl TapResult {
    /// The result of an outcome.
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            outcome if outcome.has_won() => Self::Won,
            outcome if outcome.is_undecided() => Self::Undecided,
            _ => Self::Refused,
        }
    }
}

/// The taps of one sale at one worker.
#[derive(Debug, Default)]
pub struct SaleTaps {
    outcomes: Array<Count, { Outcome::COUNT }>,
    times: Array<AnswerTimes, { TapResult::ALL.len() }>,
}

impl SaleTaps {
    /// Counts a response.
    pub fn answered(&self, outcome: Outcome, took: Duration) {
        self.outcomes[outcome.index()].add(1);
        self.times[TapResult::of(outcome) as usize].observe(took);
    }

    /// Responses with an outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome.index()].get()
    }

    /// Adds the response times of taps with a result to a sum over workers.
    pub fn add_times_to(&self, result: TapResult, sums: &mut Sums) {
        self.times[result as usize].add_to(sums);
    }
}

/// The taps of all sales at one worker. Only its worker counts, and the exposition never makes it wait.
#[derive(Debug, Default)]
pub struct TapsBySale(ArcSwap<FxHashMap<String, Arc<SaleTaps>>>);

impl TapsBySale {
    /// The taps of a sale; `None`: there were none.
    pub fn of(&self, sale: &str) -> Option<Arc<SaleTaps>> {
        self.0.load().get(sale).cloned()
    }

    /// The taps of a sale, to count one. `is_followed` decides whether a sale without any gets a set: ids of requests are
    /// anybody's.
    pub fn of_followed(&self, sale: &str, is_followed: impl FnOnce() -> bool) -> Option<Arc<SaleTaps>> {
        let known = self.of(sale);
        known.or_else(|| is_followed().then(|| self.begin(sale)))
    }

    fn begin(&self, sale: &str) -> Arc<SaleTaps> {
        let taps = Arc::<SaleTaps>::default();
        self.change(|sales| _ = sales.insert(sale.to_owned(), taps.clone()));
        taps
    }

    /// Forgets sales that are gone.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.change(|sales| sales.retain(|sale, _| is_there(sale)));
    }

    fn change(&self, change: impl Fn(&mut FxHashMap<String, Arc<SaleTaps>>)) {
        self.0.rcu(|sales| {
            let mut sales = FxHashMap::clone(sales);
            change(&mut sales);
            sales
        });
    }
}

#[cfg(test)]
mod tests;
