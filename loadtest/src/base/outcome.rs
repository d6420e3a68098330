//! The outcomes: how a tap can end, as a buyer sees it. Status codes say less: most 409s are good answers.

use serde::{Deserialize, Serialize};

/// How a buyer's tap ended. Of two fingers with one key the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// 201: a hold of his own.
    Won,
    /// 200: a second tap with the same key showed the hold.
    Replayed,
    /// An answer was lost or `outcome-unknown`, and a retry with the same key showed the hold.
    Resolved,
    /// An answer that the contract does not allow.
    Wrong,
    /// Nobody knows until the ledger is read.
    Unknown,
    SoldOut,
    PurchaseLimit,
    /// Closed, paused or not open until the tries were used up; a token that was rightly turned down.
    Refused,
    /// 429 until the tries were used up.
    Limited,
    /// 503, certainly not taken, until the tries were used up.
    Shed,
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
    pub(crate) fn name(self) -> &'static str {
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

    pub(crate) fn named(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// A winner: he holds, or held, a reservation.
    pub(crate) fn holds(self) -> bool {
        matches!(self, Outcome::Won | Outcome::Replayed | Outcome::Resolved)
    }

    /// A loser: he was told no.
    pub(crate) fn lost(self) -> bool {
        matches!(self, Outcome::SoldOut | Outcome::PurchaseLimit | Outcome::Refused)
    }

    /// Whether the gateway said yes or no, rather than "later" or nothing.
    pub(crate) fn decided(self) -> bool {
        self.holds() || matches!(self, Outcome::SoldOut | Outcome::PurchaseLimit)
    }
}

#[cfg(test)]
mod tests;
