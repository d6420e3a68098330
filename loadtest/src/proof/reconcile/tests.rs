//! Tests planted violations: each rule is broken once and must be found; a clean history passes.

mod changes;
mod later;
mod phases;
mod random;
mod simulation;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::load::history::packed::Packed;
use crate::load::history::{Hold, SoldOut, Step, TapHistory};
use crate::plan::selection::Selection;
use crate::proof::admin::AuditItem;
use crate::proof::ledger::Kind;
use crate::proof::ledger::tests::{at, change, restock, selected, terms};

/// A good run: b1 paid, b2 cancelled, b3 abandoned, b4 was refused as sold out, b5's answer was
/// lost and b6 had bought before.
pub(super) struct Case {
    pub(super) terms: SaleTerms,
    pub(super) totals_before: BTreeMap<String, Option<u64>>,
    pub(super) audit: Audit,
    pub(super) changes: Vec<Change>,
    pub(super) operator_actions: Vec<OperatorAction>,
    pub(super) waiting: Vec<WaitingLine>,
    pub(super) signup: Option<SignUpTerms>,
    /// The commitment.
    pub(super) draw: Option<String>,
    pub(super) history: Vec<TapHistory>,
    pub(super) support: HashMap<String, Vec<String>>,
}

fn selection() -> Selection {
    Selection {
        model: "a".to_owned(),
        packages: vec!["p".to_owned()],
        store: Some("s".to_owned()),
        accept_partial: false,
    }
}

fn history(buyer: &str, outcome: Outcome) -> TapHistory {
    TapHistory {
        outcome: Some(outcome),
        ..TapHistory::new(buyer.to_owned(), buyer.to_owned(), Scenario::SPIKE, selection())
    }
}

pub(super) fn hold(id: &str, number: u64) -> Hold {
    Hold {
        id: id.to_owned(),
        number,
        version: 1,
        state: "held".to_owned(),
        model: "a".to_owned(),
        packages: vec!["p".to_owned()],
        store: Some("s".to_owned()),
        unavailable: vec![],
        price: Some(prices().price("a", &["p".to_owned()])),
        // The second and the following ones are taken from the eleventh second on, see `clean`.
        held_at: Some(if number == 1 { at(5) } else { at(9 + number) }),
        expires_at: Some(if number == 1 { at(10) } else { at(14 + number) }),
        server_time: Some(if number == 1 { at(5) } else { at(9 + number) }),
        exchanged: None,
        is_new: false,
    }
}

fn prices() -> PriceList {
    let amounts = [("model:a", 1_000), ("model:b", 2_000), ("package:p", 10), ("package:q", 20)];
    let amounts = amounts.map(|(item, amount)| (item.to_owned(), amount)).into();
    PriceList { currency: "CNY".to_owned(), deposit: 100, amounts }
}

fn winner(buyer: &str, id: &str, number: u64) -> TapHistory {
    TapHistory { holds: vec![hold(id, number)], ..history(buyer, Outcome::Won) }
}

fn sold_out(buyer: &str, last: bool) -> TapHistory {
    TapHistory {
        sold_out: vec![SoldOut {
            items: vec!["model:a".to_owned()],
            last,
            asked: at(15) + SignedDuration::from_millis(500),
            answered: at(15) + SignedDuration::from_millis(505),
        }],
        ..history(buyer, Outcome::SoldOut)
    }
}

pub(super) fn audited(item: &str, total: i64, held: i64, confirmed: i64) -> AuditItem {
    let free = Some(total - held - confirmed);
    let (item, total) = (item.to_owned(), Some(total));
    AuditItem { item, total, free, aside: None, held, confirmed, drift: Some(0) }
}

pub(super) fn clean() -> Case {
    let mut paid = change(15, Kind::Confirm, "r1", "b1", 2);
    paid.payment = Some("pay-b1".into());
    let changes = vec![
        change(5, Kind::Reserve, "old", "b6", 1),
        change(11, Kind::Reserve, "r1", "b1", 2),
        change(12, Kind::Reserve, "r2", "b2", 3),
        change(13, Kind::Reserve, "r3", "b3", 4),
        change(14, Kind::Reserve, "r5", "b5", 5),
        paid,
        change(16, Kind::Cancel, "r2", "b2", 3),
        change(21, Kind::Expire, "r3", "b3", 4),
    ];
    let items = ["model:a", "package:p", "store:s"];
    Case {
        terms: terms(),
        operator_actions: vec![],
        waiting: vec![],
        signup: None,
        draw: None,
        totals_before: items.iter().map(|item| ((*item).to_owned(), Some(5))).collect(),
        audit: Audit {
            sequence: 20,
            verdict: "balanced".to_owned(),
            items: items.iter().map(|item| audited(item, 5, 3, 1)).collect(),
            problems: vec![],
        },
        changes,
        history: vec![
            TapHistory { confirm: Step::Done, ..winner("b1", "r1", 2) },
            TapHistory { cancel: Step::Done, ..winner("b2", "r2", 3) },
            TapHistory { holds: vec![hold("r3", 4), hold("r3", 4)], ..history("b3", Outcome::Won) },
            sold_out("b4", false),
            history("b5", Outcome::Unknown),
            history("b6", Outcome::PurchaseLimit),
            history("b7", Outcome::Shed),
        ],
        support: HashMap::from([("b5".to_owned(), vec!["r5".to_owned()])]),
    }
}

/// The rules that break when the answer to a winner, who abandons it, is changed.
pub(super) fn broken_by_hold(change: impl FnOnce(&mut Hold)) -> Vec<Rule> {
    let mut case = clean();
    case.history[2].holds.truncate(1);
    change(&mut case.history[2].holds[0]);
    case.broken()
}

impl Case {
    pub(super) fn found(&self) -> Found {
        self.found_in(3)
    }

    fn found_in(&self, partitions: usize) -> Found {
        let mut history = PackedHistories::in_partitions(partitions);
        self.history.iter().for_each(|of| history.push(Packed::new(of)));
        let input = ReconcileInput {
            terms: &self.terms,
            prices: &prices(),
            started_after: 10,
            totals_before: &self.totals_before,
            clock_error: Duration::from_millis(20),
            audit: &self.audit,
            changes: &self.changes,
            operator_actions: &self.operator_actions,
            waiting: &self.waiting,
            signup: self.signup.as_ref(),
            draw: self.draw.as_deref().map(|commitment| SaleDraw::new("small", commitment, &self.waiting)),
            history: &history,
            support: &self.support,
        };
        reconcile(&input).unwrap()
    }

    pub(super) fn broken(&self) -> Vec<Rule> {
        let rules: BTreeSet<_> =
            self.found().violations.into_iter().map(|violation| violation.rule).collect();
        rules.into_iter().collect()
    }
}

fn after(plant: impl FnOnce(&mut Case)) -> Vec<Rule> {
    let mut case = clean();
    plant(&mut case);
    case.broken()
}

#[test]
fn a_clean_history_passes() {
    assert_eq!(clean().broken(), []);
}

#[test]
fn an_audit_that_drifts() {
    assert_eq!(after(|case| case.audit.verdict = "drift".to_owned()), [Rule::AuditBalanced]);
    assert_eq!(after(|case| case.audit.items[0].drift = Some(1)), [Rule::AuditBalanced]);
    assert_eq!(after(|case| case.audit.items[0].free = Some(-1)), [Rule::AuditBalanced]);
    assert_eq!(after(|case| case.audit.items[0].free = Some(0)), [Rule::AuditBalanced]);
}

#[test]
fn an_audit_that_is_not_the_journal() {
    // A counter and its reservations lost together: the audit alone would not notice.
    assert_eq!(after(|case| case.audit.items[0] = audited("model:a", 5, 2, 1)), [Rule::AuditIsTheJournal]);
    assert_eq!(after(|case| drop(case.audit.items.remove(1))), [Rule::AuditIsTheJournal]);
}

#[test]
fn an_expiry_after_the_audit_does_not_disturb_it() {
    let late = after(|case| case.changes.push(change(22, Kind::Expire, "r5", "b5", 5)));
    assert_eq!(late, []);
}

#[test]
fn more_sold_than_there_is() {
    let rules = after(|case| {
        case.totals_before.insert("store:s".to_owned(), Some(4));
        case.audit.items[2] = AuditItem { total: Some(4), free: Some(0), ..audited("store:s", 5, 3, 1) };
    });
    assert_eq!(rules, [Rule::NotOversold]);
    // An item without a limit can't be oversold.
    let unlimited = after(|case| {
        case.totals_before.insert("package:p".to_owned(), None);
        case.audit.items[1] =
            AuditItem { total: None, free: None, drift: None, ..audited("package:p", 5, 3, 1) };
    });
    assert_eq!(unlimited, []);
}

#[test]
fn a_restock_during_the_run_is_not_a_violation() {
    let restocked = |to| {
        after(|case| {
            case.totals_before.insert("model:a".to_owned(), Some(4));
            case.operator_actions.push(restock(13, "model:a", to, 4));
        })
    };
    assert_eq!(restocked(5), []);
    assert_eq!(restocked(4), [Rule::NotOversold]);
    // Back to what it was: the totals before and after the run do not show it.
    let back = after(|case| {
        case.totals_before.insert("model:a".to_owned(), Some(4));
        case.audit.items[0] = audited("model:a", 4, 3, 1);
        case.operator_actions = vec![restock(13, "model:a", 5, 4), restock(17, "model:a", 4, 5)];
    });
    assert_eq!(back, []);
}

#[test]
fn what_the_sale_does_not_have_was_sold() {
    let rules = after(|case| {
        case.totals_before.remove("package:p");
        case.audit.items.remove(1);
    });
    assert_eq!(rules, [Rule::AuditIsTheJournal, Rule::NotOversold]);
}

#[test]
fn numbers_with_a_gap_or_a_repeat() {
    let gap = after(|case| {
        case.changes[4].set_number(6);
    });
    assert_eq!(gap, [Rule::NumbersInOrder]);
}

#[test]
fn a_step_that_the_state_machine_forbids() {
    let rules = after(|case| case.changes.push(change(30, Kind::Expire, "r1", "b1", 2)));
    assert_eq!(rules, [Rule::StepsAllowed]);
}

#[test]
fn a_retry_that_bought_twice() {
    let rules = after(|case| {
        case.changes.push(change(30, Kind::Reserve, "r1b", "b1", 6));
        case.history[3].sold_out.clear();
    });
    assert_eq!(rules, [Rule::PerBuyer, Rule::BoughtOnce, Rule::RefusedHoldsNothing]);
}

#[test]
fn a_retry_after_a_cancel_that_bought_again() {
    let rules = after(|case| case.changes.push(change(30, Kind::Reserve, "r2b", "b2", 6)));
    assert_eq!(rules, [Rule::BoughtOnce, Rule::RefusedHoldsNothing]);
}

#[test]
fn an_acknowledged_reservation_that_was_lost() {
    let rules = after(|case| case.history.push(winner("b8", "r8", 9)));
    assert_eq!(rules, [Rule::AcknowledgedIsInLedger]);
}

#[test]
fn an_acknowledged_reservation_that_differs_from_the_ledger() {
    assert_eq!(after(|case| case.history[0].holds[0].number = 7), [Rule::AcknowledgedIsInLedger]);
    let store = after(|case| {
        case.history[0].holds[0].store = Some("t".to_owned());
        case.history[0].selection.store = Some("t".to_owned());
    });
    assert_eq!(store, [Rule::AcknowledgedIsInLedger]);
    // Another buyer's reservation.
    assert_eq!(
        after(|case| case.history[6] = winner("b7", "r3", 4)),
        [Rule::BoughtOnce, Rule::AcknowledgedIsInLedger]
    );
}

#[test]
fn a_reservation_that_differs_from_the_request() {
    assert_eq!(after(|case| case.history[0].selection.packages.push("q".to_owned())), [Rule::AsRequested]);
    let agreed = after(|case| {
        case.history[0].selection.packages.push("q".to_owned());
        case.history[0].selection.accept_partial = true;
        case.history[0].holds[0].unavailable.push("package:q".to_owned());
    });
    assert_eq!(agreed, []);
    let unreported = after(|case| {
        case.history[0].selection.packages.push("q".to_owned());
        case.history[0].selection.accept_partial = true;
    });
    assert_eq!(unreported, [Rule::AsRequested]);
    assert_eq!(
        after(|case| case.history[0].holds[0].unavailable.push("store:s".to_owned())),
        [Rule::AsRequested]
    );
}

#[test]
fn a_replay_that_shows_another_reservation() {
    assert_eq!(
        after(|case| case.history[2].holds[1] = hold("r5", 5)),
        [Rule::AcknowledgedIsInLedger, Rule::SameAgain]
    );
}

#[test]
fn a_refused_buyer_with_a_reservation() {
    for outcome in [
        Outcome::SoldOut,
        Outcome::Shed,
        Outcome::Limited,
        Outcome::Refused,
        Outcome::PurchaseLimit,
        Outcome::Wrong,
    ] {
        assert_eq!(
            after(|case| case.history[4].outcome = Some(outcome)),
            [Rule::RefusedHoldsNothing],
            "{outcome:?}"
        );
    }
    assert_eq!(after(|case| case.history[4].outcome = None), [Rule::RefusedHoldsNothing]);
}

#[test]
fn an_old_reservation_is_not_this_runs() {
    assert_eq!(after(|case| case.history[5].outcome = Some(Outcome::Shed)), []);
}

#[test]
fn confirms_and_cancels_that_differ_from_the_ledger() {
    assert_eq!(after(|case| case.history[2].confirm = Step::Done), [Rule::StepsAsAcknowledged]);
    assert_eq!(after(|case| case.history[2].cancel = Step::Done), [Rule::StepsAsAcknowledged]);
    assert_eq!(after(|case| case.history[0].confirm = Step::NotTried), [Rule::StepsAsAcknowledged]);
    assert_eq!(
        after(|case| case.history[0].confirm = Step::Refused("gone".to_owned())),
        [Rule::StepsAsAcknowledged]
    );
    assert_eq!(after(|case| case.history[0].confirm = Step::Unknown), []);
    assert_eq!(after(|case| case.history[0].payment = "other".to_owned()), [Rule::StepsAsAcknowledged]);
}

#[test]
fn what_happened_before_the_run_does_not_count() {
    let rules = after(|case| {
        // b6 paid in an earlier run with the same seed, and is shown the reservation again.
        case.changes.insert(1, change(6, Kind::Confirm, "old", "b6", 1));
        case.history[5] = TapHistory { holds: vec![hold("old", 1)], ..history("b6", Outcome::Replayed) };
        for item in &mut case.audit.items {
            (item.held, item.confirmed) = (2, 2);
        }
    });
    assert_eq!(rules, []);
}

#[test]
fn a_support_lookup_without_the_reservation() {
    assert_eq!(after(|case| drop(case.support.insert("b5".to_owned(), vec![]))), [Rule::SupportLookupAgrees]);
}

#[test]
fn an_answer_outside_the_contract() {
    assert_eq!(after(|case| case.history[6].findings.push("500".to_owned())), [Rule::Contract]);
}
