//! Checks every history against the ledger. Pure. Each rule has a test that breaks it; a rule never
//! fires on a gateway that keeps the contract, so a doubtful case passes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use owner::Owners;
use stock::Times;

use crate::load::history::TapHistory;
use crate::plan::price_list::PriceList;
use crate::plan::selection::SaleTerms;
use crate::proof::admin::Audit;
use crate::proof::ledger::{Book, Change, OperatorAction};
use crate::proof::rules::{Rule, Violation};

pub(crate) mod chart;

mod changes;
mod item_stock;
mod keys;
mod owner;
mod phases;
mod refusals;
mod shown;
mod stock;
#[cfg(test)]
mod tests;

/// All that the verdict rests on.
pub(crate) struct ReconcileInput<'a> {
    pub(crate) terms: &'a SaleTerms,
    pub(crate) prices: &'a PriceList,
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
        changes::check(&facts, history, &mut found);
        phases::check(input, history, &mut found);
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
    let may_have_changed = input.terms_may_have_changed();
    let is_certain = |misstep: &&Violation| {
        !may_have_changed || !matches!(misstep.rule, Rule::PerBuyer | Rule::NotExpiredEarly)
    };
    found.extend(book.missteps.iter().filter(is_certain).cloned());
}
