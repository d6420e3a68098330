//! Owns the planted violations: each rule is broken once and must be found; a clean history passes.

use super::*;
use crate::admin::AuditItem;
use crate::ledger::Kind;
use crate::ledger::tests::change;
use crate::told::SoldOut;
use crate::wish::Wish;

/// A run that went well: b1 paid, b2 cancelled, b3 abandoned, b4 was told that all is gone,
/// b5's answer was lost and b6 had bought before.
struct Case {
    totals_before: BTreeMap<String, Option<u64>>,
    audit: Audit,
    changes: Vec<Change>,
    told: Vec<Told>,
    desk: HashMap<String, Vec<String>>,
}

fn wish() -> Wish {
    Wish {
        model: "a".to_owned(),
        packages: vec!["p".to_owned()],
        store: Some("s".to_owned()),
        accept_partial: false,
    }
}

fn told(buyer: &str, outcome: Outcome) -> Told {
    Told { outcome: Some(outcome), ..Told::new(buyer.to_owned(), wish(), format!("pay-{buyer}")) }
}

fn hold(id: &str, number: u64) -> Hold {
    Hold {
        id: id.to_owned(),
        number,
        version: 1,
        state: "held".to_owned(),
        model: "a".to_owned(),
        packages: vec!["p".to_owned()],
        store: Some("s".to_owned()),
        unavailable: vec![],
    }
}

fn winner(buyer: &str, id: &str, number: u64) -> Told {
    Told { holds: vec![hold(id, number)], ..told(buyer, Outcome::Won) }
}

fn sold_out(buyer: &str, last: bool) -> Told {
    Told {
        sold_out: vec![SoldOut { items: vec!["model:a".to_owned()], last }],
        ..told(buyer, Outcome::SoldOut)
    }
}

fn audited(item: &str, total: i64, held: i64, confirmed: i64) -> AuditItem {
    let free = Some(total - held - confirmed);
    AuditItem { item: item.to_owned(), total: Some(total), free, held, confirmed, drift: Some(0) }
}

fn clean() -> Case {
    let mut paid = change(15, Kind::Confirm, "r1", "b1", 2);
    paid.payment = Some("pay-b1".to_owned());
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
        totals_before: items.iter().map(|item| ((*item).to_owned(), Some(5))).collect(),
        audit: Audit {
            sequence: 20,
            verdict: "balanced".to_owned(),
            items: items.iter().map(|item| audited(item, 5, 3, 1)).collect(),
            problems: vec![],
        },
        changes,
        told: vec![
            Told { confirm: Step::Done, ..winner("b1", "r1", 2) },
            Told { cancel: Step::Done, ..winner("b2", "r2", 3) },
            Told { holds: vec![hold("r3", 4), hold("r3", 4)], ..told("b3", Outcome::Won) },
            sold_out("b4", false),
            told("b5", Outcome::Unknown),
            told("b6", Outcome::PurchaseLimit),
            told("b7", Outcome::Shed),
        ],
        desk: HashMap::from([("b5".to_owned(), vec!["r5".to_owned()])]),
    }
}

impl Case {
    fn broken(&self) -> Vec<Rule> {
        let evidence = Evidence {
            per_buyer: 1,
            started_after: 10,
            totals_before: &self.totals_before,
            audit: &self.audit,
            changes: &self.changes,
            told: &self.told,
            desk: &self.desk,
        };
        let rules: BTreeSet<_> = reconcile(&evidence).into_iter().map(|violation| violation.rule).collect();
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
fn a_restock_during_the_run_is_no_violation() {
    assert_eq!(
        after(|case| {
            case.totals_before.insert("model:a".to_owned(), Some(4));
        }),
        []
    );
}

#[test]
fn numbers_with_a_gap_or_a_repeat() {
    let gap = after(|case| {
        case.changes[4].number = 6;
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
        case.told[3].sold_out.clear();
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
    let rules = after(|case| case.told.push(winner("b8", "r8", 9)));
    assert_eq!(rules, [Rule::AcknowledgedIsInLedger]);
}

#[test]
fn a_reservation_told_otherwise_than_it_is() {
    assert_eq!(after(|case| case.told[0].holds[0].number = 7), [Rule::AcknowledgedIsInLedger]);
    let store = after(|case| {
        case.told[0].holds[0].store = Some("t".to_owned());
        case.told[0].wish.store = Some("t".to_owned());
    });
    assert_eq!(store, [Rule::AcknowledgedIsInLedger]);
    // Somebody else's reservation.
    assert_eq!(after(|case| case.told[6] = winner("b7", "r3", 4)), [Rule::AcknowledgedIsInLedger]);
}

#[test]
fn something_else_than_wished() {
    assert_eq!(after(|case| case.told[0].wish.packages.push("q".to_owned())), [Rule::AsWished]);
    let agreed = after(|case| {
        case.told[0].wish.packages.push("q".to_owned());
        case.told[0].wish.accept_partial = true;
        case.told[0].holds[0].unavailable.push("package:q".to_owned());
    });
    assert_eq!(agreed, []);
    let untold = after(|case| {
        case.told[0].wish.packages.push("q".to_owned());
        case.told[0].wish.accept_partial = true;
    });
    assert_eq!(untold, [Rule::AsWished]);
    assert_eq!(after(|case| case.told[0].holds[0].unavailable.push("store:s".to_owned())), [Rule::AsWished]);
}

#[test]
fn a_replay_that_shows_another_reservation() {
    assert_eq!(
        after(|case| case.told[2].holds[1] = hold("r5", 5)),
        [Rule::AcknowledgedIsInLedger, Rule::SameAgain]
    );
}

#[test]
fn a_refused_buyer_who_holds() {
    for outcome in [
        Outcome::SoldOut,
        Outcome::Shed,
        Outcome::Limited,
        Outcome::Refused,
        Outcome::PurchaseLimit,
        Outcome::Wrong,
    ] {
        assert_eq!(
            after(|case| case.told[4].outcome = Some(outcome)),
            [Rule::RefusedHoldsNothing],
            "{outcome:?}"
        );
    }
    assert_eq!(after(|case| case.told[4].outcome = None), [Rule::RefusedHoldsNothing]);
}

#[test]
fn an_old_reservation_is_not_this_runs() {
    assert_eq!(after(|case| case.told[5].outcome = Some(Outcome::Shed)), []);
}

#[test]
fn a_final_no_to_a_holder() {
    let rules = after(|case| {
        case.told[4] = sold_out("b5", true);
    });
    assert_eq!(rules, [Rule::FinalIsFinal]);
    // Two taps of one key, one told no for good and one that won.
    let twice = after(|case| case.told[0].sold_out = sold_out("b1", true).sold_out);
    assert_eq!(twice, [Rule::FinalIsFinal]);
}

#[test]
fn sold_out_while_there_was_stock() {
    let more = |case: &mut Case| {
        case.totals_before.insert("model:a".to_owned(), Some(6));
        case.audit.items[0] = AuditItem { total: Some(6), free: Some(2), ..audited("model:a", 6, 3, 1) };
    };
    assert_eq!(after(more), [Rule::SoldOutWasTrue]);
    assert_eq!(
        after(|case| case.told[3].sold_out[0].items = vec!["model:z".to_owned()]),
        [Rule::SoldOutWasTrue]
    );
}

#[test]
fn a_purchase_limit_without_a_purchase() {
    assert_eq!(
        after(|case| case.told[6].outcome = Some(Outcome::PurchaseLimit)),
        [Rule::PurchaseLimitWasTrue]
    );
}

#[test]
fn confirms_and_cancels_otherwise_than_told() {
    assert_eq!(after(|case| case.told[2].confirm = Step::Done), [Rule::StepsAsTold]);
    assert_eq!(after(|case| case.told[2].cancel = Step::Done), [Rule::StepsAsTold]);
    assert_eq!(after(|case| case.told[0].confirm = Step::NotTried), [Rule::StepsAsTold]);
    assert_eq!(after(|case| case.told[0].confirm = Step::Refused("gone".to_owned())), [Rule::StepsAsTold]);
    assert_eq!(after(|case| case.told[0].confirm = Step::Unknown), []);
    assert_eq!(after(|case| case.told[0].payment = "other".to_owned()), [Rule::StepsAsTold]);
}

#[test]
fn what_happened_before_the_run_does_not_count() {
    let rules = after(|case| {
        // b6 paid in an earlier run with the same seed, and is shown his reservation again.
        case.changes.insert(1, change(6, Kind::Confirm, "old", "b6", 1));
        case.told[5] = Told { holds: vec![hold("old", 1)], ..told("b6", Outcome::Replayed) };
        for item in &mut case.audit.items {
            (item.held, item.confirmed) = (2, 2);
        }
    });
    assert_eq!(rules, []);
}

#[test]
fn a_desk_that_does_not_see_the_reservation() {
    assert_eq!(after(|case| drop(case.desk.insert("b5".to_owned(), vec![]))), [Rule::DeskSeesTheSame]);
}

#[test]
fn an_answer_outside_the_contract() {
    assert_eq!(after(|case| case.told[6].complaints.push("500".to_owned())), [Rule::Contract]);
}
