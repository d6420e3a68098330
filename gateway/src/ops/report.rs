//! What a gateway tells the fleet each second: its answers and their latencies since the last time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::metrics::Metrics;

/// Upper bounds of the latency buckets, in microseconds, from a request's head to its answer; the last bucket has none.
pub const LATENCY_BOUNDS_US: [u64; 12] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 2_500_000];

/// Answers by latency. Each worker has its own, so that none waits for another's cache line.
#[derive(Debug, Default)]
pub struct Latencies([AtomicU64; LATENCY_BOUNDS_US.len() + 1]);

impl Latencies {
    /// Counts an answer.
    pub fn count(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = LATENCY_BOUNDS_US.iter().position(|bound| took <= *bound);
        // Only its worker writes, so that no two additions can meet.
        let counter = &self.0[place.unwrap_or(LATENCY_BOUNDS_US.len())];
        counter.store(counter.load(Relaxed) + 1, Relaxed);
    }

    fn add_to(&self, sums: &mut Vec<u64>) {
        sums.resize(self.0.len(), 0);
        sums.iter_mut().zip(&self.0).for_each(|(sum, count)| *sum += count.load(Relaxed));
    }
}

/// One second of one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GatewayReport {
    /// Where it listens for apps.
    pub listen: String,
    /// Of the program.
    pub version: String,
    /// Answers on the public listener since the report before, by route and status, as in `reservations 201`.
    pub answers: BTreeMap<String, u64>,
    /// The same answers by latency: at most 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1,000, 2,500 ms, and longer.
    pub latencies: Vec<u64>,
}

/// Makes the reports of this gateway.
pub struct Reporter {
    metrics: Arc<Metrics>,
    listen: String,
    answers: BTreeMap<String, u64>,
    latencies: Vec<u64>,
}

impl Reporter {
    /// For a gateway that listens here.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, listen: String) -> Self {
        Self { metrics, listen, answers: BTreeMap::new(), latencies: Vec::new() }
    }

    /// What happened since the last report, as JSON.
    pub fn report(&mut self) -> String {
        let mut latencies = Vec::new();
        self.metrics.latencies().iter().for_each(|of_worker| of_worker.add_to(&mut latencies));
        let answers = self.metrics.answers();
        let report = GatewayReport {
            listen: self.listen.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            answers: answers
                .iter()
                .map(|(what, count)| {
                    (what.clone(), count - self.answers.get(what).copied().unwrap_or_default())
                })
                .filter(|(_, count)| *count > 0)
                .collect(),
            latencies: latencies
                .iter()
                .enumerate()
                .map(|(place, count)| count - self.latencies.get(place).copied().unwrap_or_default())
                .collect(),
        };
        (self.answers, self.latencies) = (answers, latencies);
        serde_json::to_string(&report).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use super::*;
    use crate::ops::metrics::Route;

    #[test]
    fn a_report_has_what_happened_since_the_one_before() {
        let metrics = Arc::new(Metrics::default());
        let worker = metrics.latencies_of_worker();
        let mut reporter = Reporter::new(metrics.clone(), "here".into());
        let mut next = || serde_json::from_str::<GatewayReport>(&reporter.report()).unwrap();
        let answer = |status, us| {
            metrics.count(Route::Reservations, status);
            worker.count(Duration::from_micros(us));
        };
        answer(201, 250);
        answer(201, 251);
        answer(409, 9_000_000);
        let first = next();
        assert_eq!(
            first.answers,
            [("reservations 201".to_owned(), 2), ("reservations 409".to_owned(), 1)].into()
        );
        assert_eq!(first.latencies, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        answer(409, 1);
        let second = next();
        assert_eq!(second.answers, [("reservations 409".to_owned(), 1)].into());
        assert_eq!(second.latencies.iter().sum::<u64>(), 1);
        assert!(next().answers.is_empty());
    }
}
