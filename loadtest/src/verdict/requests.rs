//! Sums up the requests of one name for verdict.json, the report and the terminal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::span::words_of_ms;
use crate::figures::{Population, RequestFigures, Steps};
use crate::verdict::Quantiles;

/// The requests of one name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RequestSummary {
    pub(crate) sent: u64,
    /// How many were answered.
    pub answered: u64,
    pub(crate) by_status: BTreeMap<u16, u64>,
    /// Answers that the contract does not allow.
    pub(crate) failed: u64,
    pub(crate) limited: u64,
    pub(crate) shed: u64,
    pub(crate) lost: u64,
    /// Answers a second, from the first request to the last answer.
    pub(crate) rate: f64,
    /// From being sent to the answer.
    pub latency_ms: RequestLatency,
    /// The requests with their retries, by their end.
    pub(crate) steps: Steps,
}

/// Quantiles in milliseconds of the requests of one name.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct RequestLatency {
    /// Of answers that decide.
    pub(crate) decided: Quantiles,
    /// Of all answers.
    pub answered: Quantiles,
    /// Of all requests: a lost one counts with the time until its client gave up.
    pub(crate) sent: Quantiles,
}

impl RequestSummary {
    pub(crate) fn of(figures: &RequestFigures) -> RequestSummary {
        let quantiles = |of| Quantiles::of(&figures.latency(of));
        let seconds = figures.lasted().as_secs_f64();
        let answered = figures.answered_count();
        RequestSummary {
            sent: figures.sent_count(),
            answered,
            by_status: figures.by_status.clone(),
            failed: figures.failed,
            limited: figures.limited,
            shed: figures.shed,
            lost: figures.lost_count(),
            rate: if seconds > 0.0 { answered as f64 / seconds } else { 0.0 },
            latency_ms: RequestLatency {
                decided: quantiles(Population::Decided),
                answered: quantiles(Population::Answered),
                sent: quantiles(Population::Sent),
            },
            steps: figures.steps,
        }
    }

    /// What went otherwise than meant, where something did: `3 failed, 2 lost`.
    pub(crate) fn troubles(&self) -> String {
        let counts = [
            (self.failed, "failed"),
            (self.limited, "limited"),
            (self.shed, "shed"),
            (self.lost, "lost"),
            (self.steps.undecided, "steps undecided"),
        ];
        let troubles = counts.into_iter().filter(|(count, _)| *count > 0);
        troubles.map(|(count, name)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    /// For the terminal: in short.
    pub(crate) fn words(&self) -> String {
        let troubles = match self.troubles() {
            none if none.is_empty() => none,
            troubles => format!(", {troubles}"),
        };
        let Quantiles { p50, p99, max, .. } = self.latency_ms.sent;
        let [p50, p99, max] = [p50, p99, max].map(words_of_ms);
        format!("{} sent{troubles}; p50 {p50}, p99 {p99}, max {max}", self.sent)
    }
}
