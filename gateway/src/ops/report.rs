//! What a gateway tells the fleet each second: its answers and their latencies since the last time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::metrics::{Answers, Metrics};

/// One second of one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct GatewayReport {
    /// Where it listens for apps.
    pub listen: String,
    /// Of the program.
    pub version: String,
    /// Answers on the public listener since the report before, by route and outcome as in its metrics: `reserve won`.
    pub answers: BTreeMap<String, u64>,
    /// The answers to taps that told of a reservation, by latency: at most 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250,
    /// 500, 1,000, 2,500 ms, and longer.
    pub winners: Vec<u64>,
    /// All other answers to taps, likewise.
    pub losers: Vec<u64>,
    /// The answers to all other calls, likewise.
    pub others: Vec<u64>,
}

/// How many different versions these reports come from.
#[must_use]
pub fn versions(reports: &BTreeMap<String, String>) -> usize {
    let version = |report: &String| {
        serde_json::from_str::<GatewayReport>(report).map(|report| report.version).unwrap_or_default()
    };
    reports.values().map(version).collect::<BTreeSet<_>>().len()
}

/// Makes the reports of this gateway.
pub struct Reporter {
    metrics: Arc<Metrics>,
    listen: String,
    told: Answers,
}

impl Reporter {
    /// For a gateway that listens here.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, listen: String) -> Self {
        Self { metrics, listen, told: Answers::default() }
    }

    /// What happened since the last report, as JSON.
    pub fn report(&mut self) -> String {
        let answers = self.metrics.answers();
        let new = answers.since(&self.told);
        self.told = answers;
        let count = |(route, outcome, count): (&str, &str, u64)| (format!("{route} {outcome}"), count);
        let report = GatewayReport {
            listen: self.listen.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            answers: new.counts.into_iter().map(count).collect(),
            winners: new.winners.counts,
            losers: new.losers.counts,
            others: new.others.counts,
        };
        serde_json::to_string(&report).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::problem;
    use crate::ops::metrics::labels::{Outcome, Route};
    use crate::ops::metrics::record::Told;

    #[test]
    fn a_report_has_what_happened_since_the_one_before() {
        let metrics = Arc::new(Metrics::default());
        let worker = metrics.of_worker();
        let mut reporter = Reporter::new(metrics.clone(), "here".into());
        let mut next = || serde_json::from_str::<GatewayReport>(&reporter.report()).unwrap();
        let answer = |outcome, us| {
            worker.answered(Route::Reserve, Told::plain(outcome), Duration::from_micros(us));
        };
        let sold_out = Outcome::of(&problem::SOLD_OUT);
        answer(Outcome::WON, 250);
        answer(Outcome::REPLAYED, 251);
        answer(sold_out, 9_000_000);
        worker.answered(Route::Sale, Told::plain(Outcome::OK), Duration::from_millis(1));
        let first = next();
        let count = |what: &str, n| (what.to_owned(), n);
        assert_eq!(
            first.answers,
            [
                count("reserve won", 1),
                count("reserve replayed", 1),
                count("reserve sold-out", 1),
                count("sale ok", 1)
            ]
            .into()
        );
        assert_eq!(first.winners, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(first.losers, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(first.others, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        answer(sold_out, 1);
        let second = next();
        assert_eq!(second.answers, [count("reserve sold-out", 1)].into());
        assert_eq!((second.winners.iter().sum::<u64>(), second.losers.iter().sum::<u64>()), (0, 1));
        assert!(next().answers.is_empty());
    }

    #[test]
    fn versions_are_counted_and_a_report_that_can_not_be_read_is_one_of_its_own() {
        let reports = [("a", r#"{"version":"1"}"#), ("b", r#"{"version":"1"}"#), ("c", "?")];
        let reports = reports.map(|(id, report)| (id.to_owned(), report.to_owned()));
        assert_eq!(versions(&reports.into()), 2);
        assert_eq!(versions(&BTreeMap::new()), 0);
    }
}
