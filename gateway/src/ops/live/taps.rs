//! Rates and latencies of taps in the live stream.

use serde::Serialize;
use utoipa::ToSchema;

/// Taps of all gateways.
#[derive(Debug, Serialize, ToSchema)]
pub struct Taps {
    /// All taps a second.
    pub all: f64,
    /// Taps a second by group of outcomes.
    pub per_second: Groups,
    /// Taps by outcome, named as in metrics and problems.
    pub outcomes: Vec<OutcomeNow>,
}

/// Taps a second by group of outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Groups {
    /// A new reservation.
    pub won: f64,
    /// The same reservation again: replayed.
    pub again: f64,
    /// Refused for good: sold out, closed, over the purchase limit, unknown item.
    pub lost: f64,
    /// Refused for now: not open, paused.
    pub early: f64,
    /// Undecided: rate-limited or shed.
    pub away: f64,
    /// Outcome unknown.
    pub unknown: f64,
    /// Invalid requests.
    pub wrong: f64,
}

impl Groups {
    /// The group of an outcome: its name, and its rate.
    pub fn of(&mut self, outcome: &str) -> (&'static str, &mut f64) {
        match outcome {
            "won" => ("won", &mut self.won),
            "not-signed-up" => ("lost", &mut self.lost),
            "replayed" => ("again", &mut self.again),
            "sold-out" | "purchase-limit" | "sale-closed" | "unknown-item" | "idempotency-key-reused" => {
                ("lost", &mut self.lost)
            }
            "sale-not-open" | "sale-paused" => ("early", &mut self.early),
            "quota-exceeded" | "temporary-reduced-capacity" => ("away", &mut self.away),
            "outcome-unknown" | "internal" => ("unknown", &mut self.unknown),
            _ => ("wrong", &mut self.wrong),
        }
    }

    /// The sum of all groups.
    pub fn sum(&self) -> f64 {
        self.won + self.again + self.lost + self.early + self.away + self.unknown + self.wrong
    }
}

/// Taps with one outcome.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeNow {
    /// `won`, `replayed`, or the problem's name.
    pub outcome: String,
    /// Its group.
    pub group: &'static str,
    /// Taps a second.
    pub per_second: f64,
    /// Since the gateways started.
    pub total: u64,
}

/// Latencies of taps.
#[derive(Debug, Serialize, ToSchema)]
pub struct Latency {
    /// Of won and replayed taps.
    pub winners: Quantiles,
    /// Of all other taps.
    pub losers: Quantiles,
}

/// Quantiles in ms; null without responses.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quantiles {
    /// The median.
    #[schema(required)]
    pub p50_ms: Option<f64>,
    /// The 99th percentile.
    #[schema(required)]
    pub p99_ms: Option<f64>,
    /// Number of responses.
    pub answers: u64,
}
