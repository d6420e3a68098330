//! What an audit says: the equation of every item, and what is wrong in words.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::reservation::State;

/// What an audit found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Report {
    /// The sale.
    pub sale: String,
    /// The change up to which all this is true.
    pub sequence: u64,
    /// Whether everything balances.
    pub verdict: Verdict,
    /// Every item.
    pub items: Vec<ItemReport>,
    /// Reservations by state.
    pub reservations: Counts,
    /// What is wrong, in words; a damaged key by name.
    pub problems: Vec<String>,
}

/// The audit's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every item balances to the unit and nothing is wrong.
    Balanced,
    /// Something does not.
    Drift,
}

/// One item's equation: `drift = free + held + confirmed − total`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ItemReport {
    /// `model:ID`, `package:ID` or `store:ID`.
    pub item: String,
    /// From the journal; null: no limit.
    #[schema(required)]
    pub total: Option<i64>,
    /// The live counter; null: no limit.
    #[schema(required)]
    pub free: Option<i64>,
    /// From the reservations.
    pub held: i64,
    /// From the reservations.
    pub confirmed: i64,
    /// 0 when it balances.
    pub drift: i64,
}

/// Reservations by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// Not yet paid.
    pub held: u64,
    /// Paid.
    pub confirmed: u64,
    /// Ended by buyer or service.
    pub cancelled: u64,
    /// Ended by their deadline.
    pub expired: u64,
}

impl Counts {
    pub(crate) fn of([held, confirmed, cancelled, expired]: [u64; 4]) -> Self {
        Self { held, confirmed, cancelled, expired }
    }

    pub(super) fn of_state(&mut self, state: State) -> &mut u64 {
        match state {
            State::Held => &mut self.held,
            State::Confirmed => &mut self.confirmed,
            State::Cancelled => &mut self.cancelled,
            State::Expired => &mut self.expired,
        }
    }
}

impl Report {
    /// What is wrong first of all, if anything is.
    #[must_use]
    pub fn first_problem(&self) -> Option<String> {
        let drifting =
            || self.items.iter().find(|i| i.drift != 0).map(|i| format!("{} drifts by {}", i.item, i.drift));
        self.problems.first().cloned().or_else(drifting)
    }
}
