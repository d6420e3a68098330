//! Defines how a tap can end, as its buyer sees it; a 409 is often a right answer, so status codes do not suffice.

use serde::{Deserialize, Serialize};

/// How a buyer's tap ended. Of two sessions with one key, the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 201: a new hold.
    Won,
    /// 200: a second tap with the same key showed the hold.
    Replayed,
    /// An answer was lost or `outcome-unknown`, and a retry with the same key showed the hold.
    Resolved,
    /// An answer that the contract does not allow.
    Wrong,
    /// Only the ledger shows it: every answer was lost.
    Unknown,
    /// 409 `sold-out`.
    SoldOut,
    /// 409 `purchase-limit`.
    PurchaseLimit,
    /// Closed, paused or not open until the tries were used up; or an invalid token that was rejected.
    Refused,
    /// 429 until the tries were used up.
    Limited,
    /// 503, certainly not taken, until the tries were used up.
    Shed,
}

/// How a step ended: a request with its retries, as a buyer means them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepEnd {
    /// It was done.
    Done,
    /// It was refused for good.
    Refused,
    /// It has no answer that counts: all tries were lost, shed, limited or wrong.
    Undecided,
}

impl Outcome {
    pub(crate) const ALL: [Outcome; 10] = [
        Outcome::Won,
        Outcome::Replayed,
        Outcome::Resolved,
        Outcome::SoldOut,
        Outcome::PurchaseLimit,
        Outcome::Limited,
        Outcome::Shed,
        Outcome::Unknown,
        Outcome::Refused,
        Outcome::Wrong,
    ];

    /// Its name in reports, thresholds and verdict.json.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Won => "won",
            Outcome::Replayed => "replayed",
            Outcome::Resolved => "resolved",
            Outcome::SoldOut => "sold_out",
            Outcome::PurchaseLimit => "purchase_limit",
            Outcome::Limited => "limited",
            Outcome::Shed => "shed",
            Outcome::Unknown => "unknown",
            Outcome::Refused => "refused",
            Outcome::Wrong => "wrong",
        }
    }

    /// The outcome of this name.
    pub fn named(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// A winner: holds, or held, a reservation.
    pub fn holds(self) -> bool {
        matches!(self, Outcome::Won | Outcome::Replayed | Outcome::Resolved)
    }

    /// A loser: the gateway refused the tap.
    pub fn lost(self) -> bool {
        matches!(self, Outcome::SoldOut | Outcome::PurchaseLimit | Outcome::Refused)
    }

    /// How a tap with this outcome counts as a step.
    pub(crate) fn step_end(self) -> StepEnd {
        match self {
            _ if self.holds() => StepEnd::Done,
            _ if self.lost() => StepEnd::Refused,
            _ => StepEnd::Undecided,
        }
    }

    /// Whether the gateway decided the tap, rather than shed it or lost the answer.
    pub fn decided(self) -> bool {
        self.holds() || matches!(self, Outcome::SoldOut | Outcome::PurchaseLimit)
    }
}

#[cfg(test)]
mod tests;
