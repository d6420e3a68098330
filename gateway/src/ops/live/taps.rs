//! What taps came to, how many a second and how long that took, as the stream tells it.

use serde::Serialize;
use utoipa::ToSchema;

/// Taps of all gateways.
#[derive(Debug, Serialize, ToSchema)]
pub struct Taps {
    /// A second.
    pub all: f64,
    /// A second, by what they came to.
    pub per_second: Groups,
    /// By outcome, as metrics and problems name them.
    pub outcomes: Vec<OutcomeNow>,
}

/// What taps came to, in groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Groups {
    /// A new reservation.
    pub won: f64,
    /// The same reservation again.
    pub again: f64,
    /// No: sold out, closed, over the purchase limit, not to be had.
    pub lost: f64,
    /// Not yet, or not now: not open, paused.
    pub early: f64,
    /// Undecided: over a rate limit, or turned away for lack of room.
    pub away: f64,
    /// Nobody knows yet.
    pub unknown: f64,
    /// Requests that were wrong.
    pub wrong: f64,
}

impl Groups {
    /// The group of an outcome.
    #[must_use]
    pub fn name(outcome: &str) -> &'static str {
        match outcome {
            "won" => "won",
            "replayed" => "again",
            "sold-out" | "purchase-limit" | "sale-closed" | "unknown-item" | "idempotency-key-reused" => {
                "lost"
            }
            "sale-not-open" | "sale-paused" => "early",
            "quota-exceeded" | "temporary-reduced-capacity" => "away",
            "outcome-unknown" | "internal" => "unknown",
            _ => "wrong",
        }
    }

    /// The number of an outcome's group.
    pub fn of(&mut self, outcome: &str) -> &mut f64 {
        match Self::name(outcome) {
            "won" => &mut self.won,
            "again" => &mut self.again,
            "lost" => &mut self.lost,
            "early" => &mut self.early,
            "away" => &mut self.away,
            "unknown" => &mut self.unknown,
            _ => &mut self.wrong,
        }
    }

    /// All of them.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.won + self.again + self.lost + self.early + self.away + self.unknown + self.wrong
    }
}

/// One outcome.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutcomeNow {
    /// `won`, `replayed`, or the problem's name.
    pub outcome: String,
    /// Where it counts among the groups.
    pub group: &'static str,
    /// A second.
    pub per_second: f64,
    /// Since the gateways started.
    pub total: u64,
}

/// Latencies of taps.
#[derive(Debug, Serialize, ToSchema)]
pub struct Latency {
    /// Of those who have a reservation.
    pub winners: Quantiles,
    /// Of all others.
    pub losers: Quantiles,
}

/// null where there was no answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quantiles {
    /// Half of them are not slower.
    #[schema(required)]
    pub p50_ms: Option<f64>,
    /// 99 of 100 are not slower.
    #[schema(required)]
    pub p99_ms: Option<f64>,
    /// Answers.
    pub answers: u64,
}
