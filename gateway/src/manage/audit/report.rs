//! The report of an audit: the equation of every item, and its problems in words.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::keys::Keys;

/// The most steps of a kind in a repair plan.
const STEPS_MAX: usize = 5;

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditReport {
    /// Id of the sale.
    pub sale: String,
    /// Sequence of the audited state.
    pub sequence: u64,
    /// Whether everything balances.
    pub verdict: AuditVerdict,
    /// Equations of all items.
    pub items: Vec<ItemReport>,
    /// Numbers of reservations by state.
    pub reservations: Counts,
    /// How many buyers are signed up, from the journal; left out where the sale takes no sign-ups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub signed_up: Option<u64>,
    /// How many buyers wait in standby queues, from the journal; left out where the sale has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub waiting: Option<u64>,
    /// Problems in words, with the names of damaged keys.
    pub problems: Vec<String>,
}

/// The verdict of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuditVerdict {
    /// Every item balances to the unit, and there is no other problem.
    Balanced,
    /// At least one item or record does not balance.
    Drift,
}

/// One item's equation: `drift = free + aside + held + confirmed − total`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemReport {
    /// `model:ID`, `package:ID` or `store:ID`.
    pub item: String,
    /// Total from the journal; null: no limit.
    #[schema(required)]
    pub total: Option<i64>,
    /// Live counter; null: no limit.
    #[schema(required)]
    pub free: Option<i64>,
    /// Live counter of what is set aside for buyers who wait; left out before the first unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub aside: Option<i64>,
    /// Number held, from the reservations.
    pub held: i64,
    /// Number confirmed, from the reservations.
    pub confirmed: i64,
    /// 0 when it balances.
    pub drift: i64,
}

/// Numbers of reservations by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Not yet paid.
    pub held: u64,
    /// Paid.
    pub confirmed: u64,
    /// Cancelled by buyer or service.
    pub cancelled: u64,
    /// Ended by their deadline.
    pub expired: u64,
}

impl Counts {
    /// From counts by [`State`](crate::domain::reservation::State).
    pub(crate) fn of([held, confirmed, cancelled, expired]: [u64; 4]) -> Self {
        Self { held, confirmed, cancelled, expired }
    }
}

impl AuditReport {
    /// The first problem, if there is one.
    pub fn first_problem(&self) -> Option<String> {
        let drifting =
            || self.items.iter().find(|i| i.drift != 0).map(|i| format!("{} drifts by {}", i.item, i.drift));
        self.problems.first().cloned().or_else(drifting)
    }

    /// The steps to fix drift. Nothing is repaired automatically: an operator decides which copy is
    /// right.
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
                "save the current state: gateway audit {sale} --json > audit.json; gateway journal {sale} > journal.jsonl; \
                 gateway sale export {sale} FILE"
            ),
            "find other clients that write to this Redis: CLIENT LIST, ACL LOG, and its own log".to_owned(),
        ];
        let is_oversold = |problem: &String| problem.ends_with(" is oversold");
        let damages = self.problems.iter().filter(|problem| !is_oversold(problem)).count();
        if damages > 0 {
            steps.push(format!(
                "{damages} problems above are of records, journal or keys, which no counter fixes: restore Redis's files from \
                 before that, or import an export into an empty Redis (gateway sale import FILE)"
            ));
        } else {
            let stock = Keys::of(sale);
            steps.extend(self.items.iter().filter(|item| item.drift != 0).take(STEPS_MAX).map(|item| {
                let (is, should) = (item.free.unwrap_or_default(), item.free.unwrap_or_default() - item.drift);
                format!(
                    "records and journal agree that {should} of {} are free, and its counter is {is}: once you know why, and with \
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
        steps.push(format!("gateway audit {sale} again, and resume only once its verdict is balanced"));
        steps
    }
}

#[cfg(test)]
mod tests;
