//! A gateway's report to the fleet each second: responses and latencies since the last one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fleet::alarm::Alarm;
use crate::telemetry::metrics::AnswerCounts;

/// One second of one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct GatewayReport {
    /// Listening address for apps.
    pub listen: String,
    /// Version of the program.
    pub version: String,
    /// The durability that its acknowledgements have: `none`, `aof`, `fsync` or `replicas=N`.
    pub durability: String,
    /// Number of worker threads; 0: an older version.
    pub workers: usize,
    /// What verifies tokens: `hs256` or `jwks`; empty: an older version.
    pub token_keys: String,
    /// Number of the report, from 1: the same number twice means that the gateway has stopped
    /// reporting.
    pub beats: u64,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// Whether it is ready for traffic.
    pub ready: bool,
    /// Why it is not ready.
    pub reasons: Vec<String>,
    /// Whether it is draining.
    pub draining: bool,
    /// Alarms, the most severe first.
    pub alarms: Vec<Alarm>,
    /// Responses to taps since its start.
    pub since_start: Totals,
    /// Responses on the public listener since the previous report, by route and outcome as in its
    /// metrics: `reserve won`.
    pub answers: BTreeMap<String, u64>,
    /// Responses to taps with a reservation, by latency: at most 0.25, 0.5, 1, 2.5, 5, 10, 25, 50,
    /// 100, 250, 500, 1,000, 2,500 ms, and longer.
    pub winners: Vec<u64>,
    /// All other responses to taps, by the same latencies.
    pub losers: Vec<u64>,
    /// Responses to all other calls, by the same latencies.
    pub others: Vec<u64>,
}

impl GatewayReport {
    /// The options that an operator compares, in words; `None`: an older version.
    pub fn options(&self) -> Option<String> {
        let Self { durability, workers, token_keys, .. } = self;
        (*workers > 0).then(|| format!("durability {durability}, {workers} workers, token keys {token_keys}"))
    }
}

/// A gateway's responses to taps since its start. The difference of two reads is exact for any
/// interval.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Totals {
    /// Number of responses, by outcome.
    pub taps: BTreeMap<String, u64>,
    /// Responses with a reservation, by latency.
    pub winners: Vec<u64>,
    /// All other responses, by latency.
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

/// The reports of all live gateways, by id.
pub type Reports = BTreeMap<String, GatewayReport>;

/// Reads reports. Unknown members of other versions are ignored.
pub(crate) fn parse(texts: BTreeMap<String, String>) -> Reports {
    let read = |(id, text): (String, String)| (id, serde_json::from_str(&text).unwrap_or_default());
    texts.into_iter().map(read).collect()
}

/// The number of different versions in these reports.
pub fn versions(reports: &Reports) -> usize {
    reports.values().map(|report| &report.version).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests;
