//! What an audit says: the equation of every item, and what is wrong in words.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::reservation::State;
use crate::store::keys::Keys;

/// Steps of a kind in a plan, at most.
const STEPS_MAX: usize = 5;

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditReport {
    /// The sale.
    pub sale: String,
    /// The change up to which all this is true.
    pub sequence: u64,
    /// Whether everything balances.
    pub verdict: AuditVerdict,
    /// Every item.
    pub items: Vec<ItemReport>,
    /// Reservations by state.
    pub reservations: Counts,
    /// What is wrong, in words; a damaged key by name.
    pub problems: Vec<String>,
}

/// The audit's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditVerdict {
    /// Every item balances to the unit and nothing is wrong.
    Balanced,
    /// Something does not.
    Drift,
}

/// One item's equation: `drift = free + held + confirmed − total`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

    pub(crate) fn of_state(&mut self, state: State) -> &mut u64 {
        match state {
            State::Held => &mut self.held,
            State::Confirmed => &mut self.confirmed,
            State::Cancelled => &mut self.cancelled,
            State::Expired => &mut self.expired,
        }
    }
}

impl AuditReport {
    /// What is wrong first of all, if anything is.
    #[must_use]
    pub fn first_problem(&self) -> Option<String> {
        let drifting =
            || self.items.iter().find(|i| i.drift != 0).map(|i| format!("{} drifts by {}", i.item, i.drift));
        self.problems.first().cloned().or_else(drifting)
    }

    /// What to do about drift, step by step. Nothing repairs itself: what is wrong decides what is right, and that takes
    /// somebody who looks.
    #[must_use]
    pub fn plan(&self) -> Vec<String> {
        if self.verdict == AuditVerdict::Balanced {
            return Vec::new();
        }
        let sale = &self.sale;
        let mut steps = vec![
            format!(
                "stop what adds to it: gateway sale pause {sale} --reason drift; gateway sale freeze {sale} --reason drift"
            ),
            format!(
                "keep the evidence: gateway audit {sale} --json > audit.json; gateway journal {sale} > journal.jsonl; \
                 gateway sale export {sale} FILE"
            ),
            "find out who else writes to this Redis: CLIENT LIST, ACL LOG, and its own log".to_owned(),
        ];
        let is_oversold = |problem: &String| problem.ends_with(" is oversold");
        let damages = self.problems.iter().filter(|problem| !is_oversold(problem)).count();
        if damages > 0 {
            steps.push(format!(
                "{damages} problems above are of records, journal or keys, which no counter mends: restore Redis's files from \
                 before that, or import an export into an empty Redis (gateway sale import FILE)"
            ));
        } else {
            let stock = Keys::of(sale);
            steps.extend(self.items.iter().filter(|item| item.drift != 0).take(STEPS_MAX).map(|item| {
                let (is, should) = (item.free.unwrap_or_default(), item.free.unwrap_or_default() - item.drift);
                format!(
                    "records and journal agree that {should} of {} are free, and its counter says {is}: once you know why, and with \
                     the sale paused and frozen, HSET {} {} {should}",
                    item.item,
                    stock.stock(),
                    item.item
                )
            }));
        }
        steps.extend(self.problems.iter().filter(|problem| is_oversold(problem)).take(STEPS_MAX).map(|problem| {
            format!(
                "{problem}: restock it by what is missing if there are more, or talk to its last buyers (gateway journal {sale})"
            )
        }));
        steps.push(format!("gateway audit {sale} again, and resume only once it says balanced"));
        steps
    }
}

#[cfg(test)]
mod tests;
