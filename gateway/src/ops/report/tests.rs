//! Unit tests of `report.rs`.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::problem;
use crate::fleet::membership::Membership;
use crate::ops::health::Readiness;
use crate::ops::status::ServedOptions;
use crate::store::durability::Durability;
use crate::telemetry::labels::{Outcome, Route};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::AnswerClass;

#[test]
fn a_report_counts_from_the_one_before() {
    let metrics = Arc::new(Metrics::default());
    let worker = metrics.of_worker();
    let (readiness, membership) = (Arc::new(Readiness::default()), Arc::new(Membership::new("here".into())));
    readiness.set(Vec::new());
    let (sales, checks) = (Arc::default(), Arc::default());
    let status = GatewayStatus {
        metrics: metrics.clone(),
        sales,
        readiness,
        membership,
        checks,
        options: ServedOptions { durability: Durability::Fsync, workers: 3, token_keys: "jwks" },
    };
    let mut reporter = Reporter::new(status);
    let mut next = || serde_json::from_str::<GatewayReport>(&reporter.report()).unwrap();
    let answer = |outcome, us| {
        worker.answered(Route::Reserve, AnswerClass::plain(outcome), Duration::from_micros(us));
    };
    let sold_out = Outcome::of(&problem::SOLD_OUT);
    answer(Outcome::WON, 250);
    answer(Outcome::REPLAYED, 251);
    answer(sold_out, 9_000_000);
    worker.answered(Route::Sale, AnswerClass::plain(Outcome::OK), Duration::from_millis(1));
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
    assert_eq!(first.options().unwrap(), "durability fsync, 3 workers, token keys jwks");
    assert_eq!(first.winners, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(first.losers, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(first.others, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    answer(sold_out, 1);
    let second = next();
    assert_eq!(second.answers, [count("reserve sold-out", 1)].into());
    assert_eq!((second.beats, second.ready, second.draining), (2, true, false));
    assert_eq!(second.since_start.taps, [count("won", 1), count("replayed", 1), count("sold-out", 2)].into());
    assert_eq!(second.since_start.losers.iter().sum::<u64>(), 2);
    assert_eq!((second.winners.iter().sum::<u64>(), second.losers.iter().sum::<u64>()), (0, 1));
    assert!(next().answers.is_empty());
}
