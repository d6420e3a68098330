//! Checks every history against the ledger. Pure. Each rule has a test that breaks it; a rule never
//! fires on a gateway that keeps the contract, so a doubtful case passes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use owner::Owners;
use stock::Times;

use crate::load::history::TapHistory;
use crate::plan::selection::SaleTerms;
use crate::proof::admin::Audit;
use crate::proof::ledger::{Book, Change, InvalidStepKind, OperatorAction};

pub(crate) mod chart;

mod item_stock;
mod keys;
mod owner;
mod refusals;
mod stock;
#[cfg(test)]
mod tests;

/// All that the verdict rests on.
pub(crate) struct ReconcileInput<'a> {
    pub(crate) terms: &'a SaleTerms,
    /// The sequence before the first tap: what the ledger held then is not this run's.
    pub(crate) started_after: u64,
    /// Stock at that sequence; the audit has it afterwards.
    pub(crate) totals_before: &'a BTreeMap<String, Option<u64>>,
    /// How far the buyers' estimate of the server's clock may be off.
    pub(crate) clock_error: Duration,
    pub(crate) audit: &'a Audit,
    pub(crate) changes: &'a [Change],
    pub(crate) operator_actions: &'a [OperatorAction],
    pub(crate) history: &'a [TapHistory],
    /// Reservation ids that the support lookup shows for buyers with an unknown outcome.
    pub(crate) support: &'a HashMap<String, Vec<String>>,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) violations: Vec<Violation>,
    /// Reservations of this run by buyers without a history here.
    pub(crate) foreign_reservations: usize,
}

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
    /// A buyer refused by a purchase limit had reached it.
    PurchaseLimitWasTrue,
    /// The ledger has the acknowledged confirms and cancels, and no others.
    StepsAsAcknowledged,
    /// The ledger has the acknowledged amendments, and no others.
    AmendAsAcknowledged,
    /// The support lookup agrees with the journal.
    SupportLookupAgrees,
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

/// A gateway's estimate of Redis's clock is late by a round trip, which may be slow under load;
/// times are also cut to milliseconds.
const GATEWAY_CLOCK_MS: i64 = 50;

impl<'a> ReconcileInput<'a> {
    /// The operator actions during the run.
    fn actions_of_the_run(&self) -> impl Iterator<Item = &'a OperatorAction> + use<'a> {
        let started_after = self.started_after;
        self.operator_actions.iter().filter(move |action| action.sequence() > started_after)
    }

    /// How far a buyer's time and the journal's may be apart for one instant.
    fn doubt_ms(&self) -> i64 {
        i64::try_from(self.clock_error.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
            + 1
            + GATEWAY_CLOCK_MS
    }

    /// Whether the terms may have been others for some reservations: once there is one they are locked.
    fn terms_may_have_changed(&self) -> bool {
        let first = self.changes.first().map_or(u64::MAX, Change::sequence);
        self.actions_of_the_run().any(|action| action.defines() && action.sequence() < first)
    }
}

/// What the rules about buyers look at.
struct Facts<'a> {
    input: &'a ReconcileInput<'a>,
    book: Book<'a>,
    times: Times<'a>,
    owners: Owners<'a>,
}

/// Finds every broken rule. A clean run has none.
pub(crate) fn reconcile(input: &ReconcileInput<'_>) -> Found {
    let mut found = Vec::new();
    stock::check_audit(input, &mut found);
    let (times, book) = Times::replay(input, &mut found);
    check_journal(input, &book, &mut found);
    let facts = Facts { input, book, times, owners: owner::by_buyer(input.history) };
    for history in input.history {
        keys::check(&facts, history, &mut found);
        refusals::check(&facts, history, &mut found);
    }
    for (buyer, history) in &facts.owners {
        owner::check(&facts, buyer, history, &mut found);
    }
    owner::check_shown_to_one_key(&facts.owners, &mut found);
    owner::check_amends(&facts, &mut found);
    let of_the_run = facts.book.entries.values().map(|entry| entry.reserve());
    let foreign_reservations = of_the_run
        .filter(|reserve| reserve.sequence() > input.started_after)
        .filter(|reserve| !facts.owners.contains_key(reserve.buyer.as_str()))
        .count();
    Found { violations: found, foreign_reservations }
}

fn check_journal(input: &ReconcileInput<'_>, book: &Book<'_>, found: &mut Vec<Violation>) {
    for misstep in &book.missteps {
        let rule = match misstep.kind {
            InvalidStepKind::Number => Rule::NumbersInOrder,
            InvalidStepKind::State => Rule::StepsAllowed,
            InvalidStepKind::TooManyPerBuyer | InvalidStepKind::ExpiredEarly
                if input.terms_may_have_changed() =>
            {
                continue;
            }
            InvalidStepKind::TooManyPerBuyer => Rule::PerBuyer,
            InvalidStepKind::ExpiredEarly => Rule::NotExpiredEarly,
        };
        found.push(Violation {
            rule,
            buyer: Some(misstep.buyer.clone()),
            reservation: Some(misstep.reservation.clone()),
            what: misstep.what.clone(),
        });
    }
}

/// A violation that concerns this buyer.
fn of(buyer: &str, rule: Rule, reservation: Option<&str>, what: String) -> Violation {
    Violation { rule, buyer: Some(buyer.to_owned()), reservation: reservation.map(str::to_owned), what }
}
