//! Builds the report of this gateway to the fleet, once a second.

use std::sync::Arc;
use std::time::Instant;

use crate::fleet::membership::Membership;
use crate::fleet::report::{GatewayReport, Totals};
use crate::ops::alarms::{self, Recents};
use crate::ops::health::Readiness;
use crate::ops::self_checks::SelfChecks;
use crate::projection::read_model::Sales;
use crate::telemetry::metrics::{AnswerCounts, Metrics};

/// Builds the reports of this gateway.
pub struct Reporter {
    sources: ReportSources,
    started: Instant,
    beats: u64,
    recents: Recents,
    last_reported: AnswerCounts,
}

/// The sources of reports.
pub struct ReportSources {
    /// Counters, and the results of audits.
    pub metrics: Arc<Metrics>,
    /// The sales that this process follows.
    pub sales: Arc<Sales>,
    /// Whether it is ready.
    pub readiness: Arc<Readiness>,
    /// This gateway's membership of the fleet.
    pub membership: Arc<Membership>,
    /// The checks of files and clock.
    pub checks: Arc<SelfChecks>,
}

impl Reporter {
    /// A reporter without a previous report.
    #[must_use]
    pub fn new(sources: ReportSources) -> Self {
        let (recents, last_reported) = (Recents::default(), AnswerCounts::default());
        Self { sources, started: Instant::now(), beats: 0, recents, last_reported }
    }

    /// The changes since the last report, as JSON.
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
mod tests;
