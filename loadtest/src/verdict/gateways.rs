//! Sums up the requests to one gateway for verdict.json, the report and the terminal.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::figures::GatewayFigures;
use crate::verdict::{Quantiles, RequestSummary};

/// All requests to one gateway, those of bots included.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct GatewaySummary {
    pub(crate) gateway: String,
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    pub(crate) by_status: BTreeMap<u16, u64>,
    pub(crate) failed: u64,
    pub(crate) limited: u64,
    pub(crate) shed: u64,
    pub(crate) lost: u64,
    /// Answers a second, from the first request to the last answer.
    pub(crate) rate: f64,
    /// From being sent to the answer; a lost one counts as long as its client would have waited.
    pub(crate) latency_ms: Quantiles,
}

impl GatewaySummary {
    pub(crate) fn of(figures: &GatewayFigures) -> GatewaySummary {
        let RequestSummary {
            sent, answered, by_status, failed, limited, shed, lost, rate, latency_ms, ..
        } = RequestSummary::of(&figures.requests);
        let (gateway, latency_ms) = (figures.name.clone(), latency_ms.sent);
        GatewaySummary { gateway, sent, answered, by_status, failed, limited, shed, lost, rate, latency_ms }
    }

    /// For the terminal: in short.
    pub(crate) fn words(&self) -> String {
        let counts =
            [(self.failed, "failed"), (self.limited, "limited"), (self.shed, "shed"), (self.lost, "lost")];
        let troubles = counts.into_iter().filter(|(count, _)| *count > 0);
        let troubles: String = troubles.map(|(count, name)| format!(", {count} {name}")).collect();
        format!("{}: {} sent{troubles}; {}", self.gateway, self.sent, self.latency_ms.words())
    }
}
