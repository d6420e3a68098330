//! What a gateway tells the fleet each second: its answers and their latencies since the last time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fleet::alarm::Alarm;
use crate::telemetry::metrics::AnswerCounts;

/// One second of one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct GatewayReport {
    /// Where it listens for apps.
    pub listen: String,
    /// Of the program.
    pub version: String,
    /// Counts its reports from 1: one that is there again tells of a gateway that has fallen silent.
    pub beats: u64,
    /// Since it started.
    pub uptime_ms: u64,
    /// Whether it shall get traffic.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<String>,
    /// Whether it is on its way out.
    pub draining: bool,
    /// What it finds wrong, the worst first.
    pub alarms: Vec<Alarm>,
    /// What it has answered to taps since it started.
    pub since_start: Totals,
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

/// What a gateway has answered to taps since it started: whoever reads it twice knows what was new, however long that took.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Totals {
    /// By outcome.
    pub taps: BTreeMap<String, u64>,
    /// Of those who have a reservation, by latency.
    pub winners: Vec<u64>,
    /// Of all others.
    pub losers: Vec<u64>,
}

impl Totals {
    pub(crate) fn of(answers: &AnswerCounts) -> Self {
        let taps = answers.counts.iter().filter(|(route, ..)| *route == "reserve");
        Self {
            taps: taps.map(|(_, outcome, count)| ((*outcome).to_owned(), *count)).collect(),
            winners: answers.winners.counts.clone(),
            losers: answers.losers.counts.clone(),
        }
    }
}

/// How many different versions these reports come from.
#[must_use]
pub fn versions(reports: &BTreeMap<String, String>) -> usize {
    let version = |report: &String| {
        serde_json::from_str::<GatewayReport>(report).map(|report| report.version).unwrap_or_default()
    };
    reports.values().map(version).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests;
