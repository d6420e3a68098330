//! The rules of the proof, and what breaks them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The rule that a violation breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The audit is balanced, without drift, with no item below zero or above its total.
    AuditBalanced,
    /// The audit's numbers are what the journal adds up to at the audit's sequence.
    AuditIsTheJournal,
    /// No item was ever reserved beyond its stock.
    NotOversold,
    /// Numbers go 1, 2, 3 … in the journal's order.
    NumbersInOrder,
    /// Reservations only take the steps of the state machine, and versions go up by one.
    StepsAllowed,
    /// No hold expired before its deadline and the grace after it.
    NotExpiredEarly,
    /// No buyer has more reservations alive than `per_buyer`.
    PerBuyer,
    /// One key buys once.
    BoughtOnce,
    /// A 201 or 200 is in the ledger, for that buyer, as the answer showed it.
    AcknowledgedIsInLedger,
    /// The reservation is what the buyer requested, less the packages that `accept_partial` leaves out.
    AsRequested,
    /// Every answer to one key shows the same reservation.
    SameAgain,
    /// A refused key holds no reservation.
    RefusedHoldsNothing,
    /// A key with a reservation is not refused.
    WinnerNeverLost,
    /// `sold-out` with `final` is answered only while no hold is outstanding.
    FinalIsFinal,
    /// An item reported sold out was so at some moment between request and answer.
    SoldOutWasTrue,
    /// A tap refused as paused, closed or not open met such a sale.
    PhaseWasTrue,
    /// A buyer refused by a purchase limit had reached it.
    PurchaseLimitWasTrue,
    /// The ledger has the acknowledged confirms and cancels, and no others.
    StepsAsAcknowledged,
    /// The ledger has the acknowledged amendments, and no others.
    AmendAsAcknowledged,
    /// The support lookup agrees with the journal.
    SupportLookupAgrees,
    /// `server_time` is the instant of its answer, by the buyer's estimate of the server's clock.
    ServerTime,
    /// Answers are those that the contract allows.
    Contract,
}

impl Rule {
    /// Its name in verdict.json.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Lets so many violations of each rule through.
pub(crate) fn at_most_of_each(most: usize) -> impl FnMut(Rule) -> bool {
    let mut of_rule = BTreeMap::<Rule, usize>::new();
    move |rule| {
        let n = of_rule.entry(rule).or_default();
        *n += 1;
        *n <= most
    }
}

/// A rule that was broken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Violation {
    /// The broken rule.
    pub rule: Rule,
    /// The buyer in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
    /// The reservation in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<String>,
    /// What was found and what was expected.
    pub what: String,
}

/// A violation that concerns this buyer.
pub(crate) fn of(buyer: &str, rule: Rule, reservation: Option<&str>, what: String) -> Violation {
    Violation { rule, buyer: Some(buyer.to_owned()), reservation: reservation.map(str::to_owned), what }
}
