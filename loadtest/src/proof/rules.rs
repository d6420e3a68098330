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
    /// Sign-ups are numbered 1, 2, 3 … in the journal's order, and none comes after the entrants are fixed.
    SignUpsInOrder,
    /// The ledger has a buyer's sign-up as it was acknowledged.
    SignUpAsAcknowledged,
    /// Commitment, entrants, root, seed and ranks of a draw follow from each other.
    DrawFollows,
    /// No entrant got what one of a better rank wanted and did not get.
    AllocatedByRank,
    /// Places of queues are numbered 1, 2, 3 … in the journal's order, and granted in this order.
    QueueInOrder,
    /// Nobody else got a model that a buyer waited for.
    NotPassedOver,
    /// A place, its position and its end were shown as the ledger has them.
    PlaceAsShown,
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

/// More kinds of one rule differ in names that have no digit, such as a store's.
const KINDS_PER_RULE_MAX: usize = 10;

/// Lets so many violations of each kind through: those of one rule that say the same but for numbers, times and ids.
/// A hundred false cancels would hide one false confirm otherwise, and a rule another.
pub(crate) fn at_most_of_each_kind(most: usize) -> impl FnMut(&Violation) -> bool {
    let mut kinds_by_rule = BTreeMap::<Rule, BTreeMap<String, usize>>::new();
    move |violation| {
        let kinds = kinds_by_rule.entry(violation.rule).or_default();
        let kind = violation.kind();
        if kinds.len() == KINDS_PER_RULE_MAX && !kinds.contains_key(&kind) {
            return false;
        }
        let n = kinds.entry(kind).or_default();
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

impl Violation {
    /// What was found, without the words that have a digit.
    fn kind(&self) -> String {
        let words = self.what.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
        words.collect::<Vec<_>>().join(" ")
    }
}

/// A violation that concerns this buyer.
pub(crate) fn of(buyer: &str, rule: Rule, reservation: Option<&str>, what: String) -> Violation {
    Violation { rule, buyer: Some(buyer.to_owned()), reservation: reservation.map(str::to_owned), what }
}
