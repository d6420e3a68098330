//! Makes the report of this gateway to the fleet, each second.

use std::sync::Arc;
use std::time::Instant;

use crate::fleet::membership::Membership;
use crate::fleet::report::{GatewayReport, Totals};
use crate::ops::alarms::{self, Recents};
use crate::ops::health::Readiness;
use crate::ops::self_checks::SelfChecks;
use crate::projection::read_model::Sales;
use crate::telemetry::metrics::{AnswerCounts, Metrics};

/// Makes the reports of this gateway.
pub struct Reporter {
    sources: ReportSources,
    started: Instant,
    beats: u64,
    recents: Recents,
    last_reported: AnswerCounts,
}

/// What reports are made from.
pub struct ReportSources {
    /// What was counted, and found in audits.
    pub metrics: Arc<Metrics>,
    /// What is followed.
    pub sales: Arc<Sales>,
    /// Whether it is ready.
    pub readiness: Arc<Readiness>,
    /// As whom it takes part in the fleet.
    pub membership: Arc<Membership>,
    /// Its files and its clock.
    pub checks: Arc<SelfChecks>,
}

impl Reporter {
    /// Nothing was reported yet.
    #[must_use]
    pub fn new(sources: ReportSources) -> Self {
        let (recents, last_reported) = (Recents::default(), AnswerCounts::default());
        Self { sources, started: Instant::now(), beats: 0, recents, last_reported }
    }

    /// What happened since the last report, as JSON.
    pub fn report(&mut self) -> String {
        let ReportSources { metrics, sales, readiness, membership, checks } = &self.sources;
        let now = Instant::now();
        let answers = metrics.answers();
        let new = answers.since(&self.last_reported);
        let (since_start, reasons) = (Totals::of(&answers), readiness.reasons());
        self.recents.note(&answers);
        self.last_reported = answers;
        self.beats += 1;
        let count = |(route, outcome, count): (&str, &str, u64)| (format!("{route} {outcome}"), count);
        let report = GatewayReport {
            listen: membership.listen().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            beats: self.beats,
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ready: reasons.is_empty() && !membership.is_leaving(),
            draining: membership.is_leaving(),
            alarms: alarms::of_gateway(
                checks.alarms(now),
                sales,
                |sale| metrics.audit_of(&sale.id, sale.incarnation()),
                &reasons,
                self.recents.counts(),
                now,
            ),
            reasons: reasons.to_vec(),
            since_start,
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
    use crate::domain::problem;
    use crate::telemetry::labels::{Outcome, Route};
    use crate::telemetry::record::AnswerClass;

    #[test]
    fn a_report_has_what_happened_since_the_one_before() {
        let metrics = Arc::new(Metrics::default());
        let worker = metrics.of_worker();
        let (readiness, membership) =
            (Arc::new(Readiness::default()), Arc::new(Membership::new("here".into())));
        readiness.set(Vec::new());
        let (sales, checks) = (Arc::default(), Arc::default());
        let sources = ReportSources { metrics: metrics.clone(), sales, readiness, membership, checks };
        let mut reporter = Reporter::new(sources);
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
        assert_eq!(first.winners, [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(first.losers, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(first.others, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        answer(sold_out, 1);
        let second = next();
        assert_eq!(second.answers, [count("reserve sold-out", 1)].into());
        assert_eq!((second.beats, second.ready, second.draining), (2, true, false));
        assert_eq!(
            second.since_start.taps,
            [count("won", 1), count("replayed", 1), count("sold-out", 2)].into()
        );
        assert_eq!(second.since_start.losers.iter().sum::<u64>(), 2);
        assert_eq!((second.winners.iter().sum::<u64>(), second.losers.iter().sum::<u64>()), (0, 1));
        assert!(next().answers.is_empty());
    }
}
