//! Builds the report of this gateway to the fleet, once a second.

use std::time::Instant;

use crate::fleet::report::{GatewayReport, Totals};
use crate::ops::alarms::{self, Recents};
use crate::ops::status::GatewayStatus;
use crate::telemetry::metrics::AnswerCounts;

/// Builds the reports of this gateway.
pub struct Reporter {
    status: GatewayStatus,
    started: Instant,
    beats: u64,
    recents: Recents,
    last_reported: AnswerCounts,
}

impl Reporter {
    /// A reporter without a previous report.
    pub fn new(status: GatewayStatus) -> Self {
        let (recents, last_reported) = (Recents::default(), AnswerCounts::default());
        Self { status, started: Instant::now(), beats: 0, recents, last_reported }
    }

    /// The changes since the last report, as JSON.
    pub fn report(&mut self) -> String {
        let GatewayStatus { metrics, readiness, membership, options, .. } = &self.status;
        let answers = metrics.answers();
        let new = answers.since(&self.last_reported);
        let (since_start, reasons) = (Totals::of(&answers), readiness.reasons());
        self.recents.note(&answers);
        self.last_reported = answers;
        self.beats += 1;
        let count = |(route, outcome, count): (&str, &str, u64)| (format!("{route} {outcome}"), count);
        let report = GatewayReport {
            listen: membership.listen.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            durability: options.durability.to_string(),
            workers: options.workers,
            token_keys: options.token_keys.to_owned(),
            beats: self.beats,
            uptime_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ready: reasons.is_empty() && !membership.is_leaving(),
            draining: membership.is_leaving(),
            alarms: alarms::of_gateway(&self.status, &reasons, self.recents.counts(), Instant::now()),
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
