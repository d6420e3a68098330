//! Checks every history against the ledger. Pure. Each rule has a test that breaks it; a rule never
//! fires on a gateway that keeps the contract, so a doubtful case passes.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use amends::Amends;
use owner::SharedReservations;
use stock::Times;
use waiting::draw::{self, DrawAsShown};
use waiting::odds::ShownOdds;
use waiting::places;
use waiting::queues::{self, Queues};
use waiting::sign_ups::SignUps;

use crate::base::failure::Failure;
use crate::load::history::packed::PackedHistories;
use crate::plan::price_list::PriceList;
use crate::plan::selection::{SaleTerms, SignUpTerms};
use crate::proof::admin::Audit;
use crate::proof::ledger::{Book, Change, OperatorAction, WaitingLine, WaitingStep};
use crate::proof::rules::{Rule, Violation};

pub(crate) mod chart;

mod amends;
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
mod waiting;

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
    pub(crate) waiting: &'a [WaitingLine],
    pub(crate) signup: Option<&'a SignUpTerms>,
    pub(crate) draw: Option<SaleDraw<'a>>,
    pub(crate) history: &'a PackedHistories,
    /// Reservation ids that the support lookup shows for buyers with an unknown outcome.
    pub(crate) support: &'a HashMap<String, Vec<String>>,
}

/// What a draw follows from, besides the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SaleDraw<'a> {
    pub(crate) sale: &'a str,
    /// See [`crate::plan::selection::DrawTerms`].
    pub(crate) commitment: &'a str,
    /// The end of its allocation.
    pub(crate) allocated: Option<&'a WaitingLine>,
}

impl<'a> SaleDraw<'a> {
    pub(crate) fn new(sale: &'a str, commitment: &'a str, waiting: &'a [WaitingLine]) -> SaleDraw<'a> {
        let allocated = waiting.iter().find(|line| line.step == WaitingStep::Allocated);
        SaleDraw { sale, commitment, allocated }
    }
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) violations: Vec<Violation>,
    /// Reservations of this run by buyers without a history here.
    pub(crate) foreign_reservations: usize,
    /// How the odds of those who waited came true.
    pub(crate) odds: Option<String>,
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

    /// Whether a definition was applied during the run: it may have changed terms that are not locked.
    fn may_have_other_terms(&self) -> bool {
        self.actions_of_the_run().any(OperatorAction::defines)
    }

    /// Whether Redis ever lost changes: gateways then repeat what they have, in an order of its own and with gaps.
    fn is_recovered(&self) -> bool {
        self.operator_actions.iter().any(|action| matches!(action.kind.as_str(), "adopt" | "lost"))
    }

    /// How far a buyer's time and the journal's may be apart for one instant.
    fn doubt_ms(&self) -> i64 {
        i64::try_from(self.clock_error.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
            + 1
            + GATEWAY_CLOCK_MS
    }

    /// Whether the terms may have been others for some reservations: once there is one they are locked.
    fn terms_may_have_changed(&self) -> bool {
        let first = self.changes.first().map_or(u64::MAX, |change| change.sequence);
        self.actions_of_the_run().any(|action| action.defines() && action.sequence() < first)
    }
}

/// What the rules about buyers look at.
struct Facts<'a> {
    input: &'a ReconcileInput<'a>,
    book: Book<'a>,
    times: Times<'a>,
    queues: Queues<'a>,
}

/// What the histories of all partitions break, by the order in which it is reported.
#[derive(Default)]
struct FoundByOrder {
    /// With the place of the history.
    of_keys: Vec<(u64, Violation)>,
    of_owners: Vec<Violation>,
    of_shared: Vec<Violation>,
    of_amends: Vec<Violation>,
    of_unacknowledged_amends: Vec<Violation>,
}

/// Finds every broken rule. A clean run has none. Histories are unpacked one partition at a time.
pub(crate) fn reconcile(input: &ReconcileInput<'_>) -> Result<Found, Failure> {
    let mut found = Vec::new();
    stock::check_audit(input, &mut found);
    let (times, book) = Times::replay(input, &mut found);
    check_journal(input, &book, &mut found);
    let queues = Queues::replay(input, &mut found);
    let sign_ups = SignUps::replay(input, &mut found);
    let facts = Facts { input, book, times, queues };
    queues::check_idle(&facts, &mut found);
    let (mut shown, mut odds) = (DrawAsShown::default(), ShownOdds::default());
    let is_of_the_run = |change: &Change| change.sequence > input.started_after;
    let mut foreign_reservations =
        facts.book.entries.values().filter(|entry| is_of_the_run(entry.reserve())).count();
    let mut by_order = FoundByOrder::default();
    let (mut shared, mut amends) = (SharedReservations::default(), Amends::default());
    for partition in 0..input.history.partitions() {
        let histories = input.history.partition(partition)?;
        for (place, history) in &histories {
            let mut own = Vec::new();
            keys::check(&facts, history, &mut own);
            refusals::check(&facts, history, &mut own);
            changes::check(&facts, history, &mut own);
            phases::check(input, history, &mut own);
            if let Some(waiting) = history.waiting.as_deref() {
                sign_ups.check(input, history, waiting, &mut own);
                places::check(&facts, history, waiting, &mut own);
                shown.note(&history.buyer, waiting);
                odds.note(&facts, &history.buyer, waiting);
            }
            by_order.of_keys.extend(own.into_iter().map(|violation| (*place, violation)));
        }
        let owners = owner::by_buyer(histories.iter().map(|(_, history)| history));
        for (buyer, history) in &owners {
            owner::check(&facts, buyer, history, &mut by_order.of_owners);
            let own = facts.book.reservations_of(buyer);
            foreign_reservations -= own.filter(|entry| is_of_the_run(entry.reserve())).count();
        }
        shared.note(&facts.book, &owners);
        amends.check(&facts, &owners, &mut by_order.of_amends);
    }
    shared.check(input.history, &mut by_order.of_shared)?;
    amends.check_unacknowledged(&mut by_order.of_unacknowledged_amends);
    found.extend(by_order.in_order());
    if let Some(draw) = &input.draw {
        draw::check(input, draw, &sign_ups, &shown, &mut found);
    }
    Ok(Found { violations: found, foreign_reservations, odds: odds.words() })
}

impl FoundByOrder {
    /// As if there were one partition: of keys by place, of buyers by their names.
    fn in_order(mut self) -> impl Iterator<Item = Violation> {
        self.of_keys.sort_by_key(|(place, _)| *place);
        let mut by_buyer = [self.of_owners, self.of_shared, self.of_amends, self.of_unacknowledged_amends];
        by_buyer.iter_mut().for_each(|list| list.sort_by(|one, other| one.buyer.cmp(&other.buyer)));
        self.of_keys.into_iter().map(|(_, violation)| violation).chain(by_buyer.into_iter().flatten())
    }
}

fn check_journal(input: &ReconcileInput<'_>, book: &Book<'_>, found: &mut Vec<Violation>) {
    let may_have_changed = input.terms_may_have_changed();
    let is_certain = |misstep: &&Violation| {
        !may_have_changed || !matches!(misstep.rule, Rule::PerBuyer | Rule::NotExpiredEarly)
    };
    found.extend(book.missteps.iter().filter(is_certain).cloned());
}
