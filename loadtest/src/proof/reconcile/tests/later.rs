//! Tests planted violations of the rules about times, several keys and amendments.

use super::*;
use crate::load::history::{Amend, Exchange, WantedChange};
use crate::proof::ledger::tests::define;

fn ms(n: i64) -> SignedDuration {
    SignedDuration::from_millis(n)
}

fn sold_out_answer(item: &str, asked: Timestamp, last: bool) -> SoldOut {
    SoldOut { items: vec![item.to_owned()], last, asked, answered: asked + ms(5) }
}

/// b4 is refused for this item at another time.
fn at_another_time(item: &str, asked: Timestamp) -> Vec<Rule> {
    after(|case| case.history[3].sold_out = vec![sold_out_answer(item, asked, false)])
}

#[test]
fn sold_out_while_there_was_stock() {
    // It was gone from 14 to 16.
    assert_eq!(at_another_time("model:a", at(14)), []);
    assert_eq!(at_another_time("model:a", at(14) - ms(60)), [], "clocks may differ");
    assert_eq!(at_another_time("model:a", at(16) + ms(60)), [], "clocks may differ");
    assert_eq!(at_another_time("model:a", at(14) - ms(90)), [Rule::SoldOutWasTrue]);
    assert_eq!(at_another_time("model:a", at(16) + ms(90)), [Rule::SoldOutWasTrue]);
    assert_eq!(at_another_time("model:z", at(15)), [Rule::SoldOutWasTrue], "the sale does not have it");
    let never_gone = after(|case| {
        case.totals_before.insert("model:a".to_owned(), Some(6));
        case.audit.items[0] = audited("model:a", 6, 3, 1);
    });
    assert_eq!(never_gone, [Rule::SoldOutWasTrue]);
    let no_limit = after(|case| {
        case.totals_before.insert("model:a".to_owned(), None);
        case.audit.items[0] =
            AuditItem { total: None, free: None, drift: None, ..audited("model:a", 5, 3, 1) };
    });
    assert_eq!(no_limit, [Rule::SoldOutWasTrue]);
}

#[test]
fn all_items_that_were_named_must_have_been_gone() {
    let rules = after(|case| {
        case.totals_before.insert("package:p".to_owned(), Some(6));
        case.audit.items[1] = audited("package:p", 6, 3, 1);
        case.history[3].sold_out[0].items.push("package:p".to_owned());
    });
    assert_eq!(rules, [Rule::SoldOutWasTrue]);
}

#[test]
fn no_rule_applies_before_the_totals_are_known() {
    // The sequence that the run starts after is 10, the last entry before it is at 5.
    assert_eq!(at_another_time("model:a", at(5) + ms(60)), [], "clocks may differ");
    assert_eq!(at_another_time("model:a", at(5) + ms(90)), [Rule::SoldOutWasTrue]);
}

#[test]
fn a_definition_during_the_run_leaves_doubt_only_where_it_may_have_changed_a_total() {
    let defined = |total: i64, sequences: &[u64]| {
        after(|case| {
            case.operator_actions = sequences.iter().map(|sequence| define(*sequence)).collect();
            case.audit.items[0] = audited("model:a", total, 3, 1);
            case.history[3].sold_out = vec![sold_out_answer("model:a", at(18), false)];
        })
    };
    assert_eq!(defined(5, &[17]), [Rule::SoldOutWasTrue], "it changed nothing");
    assert_eq!(defined(6, &[17]), []);
    assert_eq!(defined(5, &[17, 19]), [], "there and back");
    let oversold = after(|case| {
        case.operator_actions.push(define(17));
        case.totals_before.insert("model:a".to_owned(), Some(3));
        case.audit.items[0] = audited("model:a", 4, 3, 1);
    });
    assert_eq!(oversold, [Rule::NotOversold], "five were taken, there were never more than four");
}

#[test]
fn final_while_a_hold_was_outstanding() {
    let rules = after(|case| case.history[3].sold_out = sold_out("b4", true).sold_out);
    assert_eq!(rules, [Rule::FinalIsFinal]);
    // All are paid: nothing comes back by itself.
    let paid = after(|case| {
        case.changes.retain(|change| change.kind == Kind::Reserve);
        for n in 0..5 {
            let taken = &case.changes[n];
            let (sequence, number) = (15 + n as u64, taken.number());
            let confirm = change(sequence, Kind::Confirm, taken.reservation(), taken.buyer(), number);
            case.changes.push(confirm);
        }
        for history in &mut case.history {
            (history.confirm, history.cancel) = (Step::Unknown, Step::NotTried);
        }
        for item in &mut case.audit.items {
            *item = audited(&item.item, 5, 0, 5);
        }
        case.history[3].sold_out = vec![sold_out_answer("model:a", at(20), true)];
    });
    assert_eq!(paid, []);
}

#[test]
fn a_refusal_after_a_win() {
    let r1_answered =
        |asked| after(|case| case.history[0].sold_out = vec![sold_out_answer("model:a", asked, false)]);
    // He won at 11, the last unit went at 14 and the first came back at 16.
    assert_eq!(r1_answered(at(15)), [Rule::WinnerNeverLost]);
    // The last unit was this buyer's.
    let r5_answered = |asked| {
        after(|case| {
            case.history[4] = TapHistory { holds: vec![hold("r5", 5)], ..history("b5", Outcome::Won) };
            case.history[4].sold_out = vec![sold_out_answer("model:a", asked, false)];
        })
    };
    assert_eq!(r5_answered(at(14) + ms(60)), [], "clocks may differ");
    assert_eq!(r5_answered(at(14) + ms(90)), [Rule::WinnerNeverLost]);
    // Also when it has ended: the key is answered with it.
    let ended =
        after(|case| case.history[1].sold_out = vec![sold_out_answer("model:a", at(16) + ms(60), false)]);
    assert_eq!(ended, [Rule::WinnerNeverLost]);
    // Another key of the same buyer may be refused.
    let other =
        after(|case| case.history.push(TapHistory { key: "second".to_owned(), ..sold_out("b1", false) }));
    assert_eq!(other, []);
}

fn lost() -> Exchange {
    Exchange::new(at(14), 1.0, "POST".to_owned(), "none: timed out".to_owned())
}

#[test]
fn a_refusal_after_a_lost_answer_is_right_only_before_the_reservation() {
    let r5_answered = |asked| {
        after(|case| {
            case.history[4] = sold_out("b5", false);
            case.history[4].sold_out = vec![sold_out_answer("model:a", asked, false)];
            case.history[4].log.push(lost());
        })
    };
    assert_eq!(r5_answered(at(14) + ms(60)), [], "clocks may differ");
    assert_eq!(r5_answered(at(14) + ms(90)), [Rule::RefusedHoldsNothing], "a winner was refused");
}

#[test]
fn each_lost_answer_makes_up_for_one_reservation() {
    let second = |keys: &[Outcome]| {
        after(|case| {
            case.terms.per_buyer = 2;
            case.history[5].outcome = Some(Outcome::Replayed);
            case.history[5].holds = vec![hold("old", 1)];
            case.changes.push(change(30, Kind::Reserve, "r5b", "b5", 6));
            case.support.clear();
            for (n, outcome) in keys.iter().enumerate() {
                case.history.push(TapHistory { key: format!("key {n}"), ..history("b5", *outcome) });
            }
        })
    };
    assert_eq!(second(&[Outcome::Unknown]), []);
    assert_eq!(second(&[Outcome::Shed]), [Rule::RefusedHoldsNothing]);
    assert_eq!(second(&[]), [Rule::BoughtOnce, Rule::RefusedHoldsNothing]);
}

#[test]
fn two_keys_that_show_one_reservation() {
    let rules =
        after(|case| case.history.push(TapHistory { key: "second".to_owned(), ..winner("b1", "r1", 2) }));
    // The other key did not ask for the confirm.
    assert_eq!(rules, [Rule::BoughtOnce, Rule::StepsAsAcknowledged]);
}

#[test]
fn a_purchase_limit_that_was_not_reached() {
    let limited = |buyer: usize| after(|case| case.history[buyer].outcome = Some(Outcome::PurchaseLimit));
    assert_eq!(limited(6), [Rule::PurchaseLimitWasTrue]);
    let one_of_two = after(|case| case.terms.per_buyer = 2);
    assert_eq!(one_of_two, [Rule::PurchaseLimitWasTrue]);
    let all_attempts = after(|case| (case.terms.per_buyer, case.terms.attempts) = (2, 1));
    assert_eq!(all_attempts, []);
}

#[test]
fn a_hold_that_expired_early() {
    assert_eq!(after(|case| case.changes[7].at = at(18)), [Rule::NotExpiredEarly]);
    // A definition before the first reservation may have changed the terms.
    let changed = after(|case| {
        case.changes.remove(0);
        case.history.remove(5);
        case.changes.iter_mut().for_each(|change| change.set_number(change.number() - 1));
        case.history.iter_mut().flat_map(|history| &mut history.holds).for_each(|hold| hold.number -= 1);
        for item in &mut case.audit.items {
            *item = audited(&item.item, 5, 2, 1);
        }
        case.history[3].sold_out.clear();
        case.changes[6].at = at(18);
        case.operator_actions.push(define(11));
        case.changes[0].sequence = 12;
    });
    assert_eq!(changed, []);
}

fn wanted(model: Option<&str>, packages: Option<&[&str]>, store: Option<&str>) -> WantedChange {
    WantedChange {
        model: model.map(str::to_owned),
        packages: packages.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect()),
        store: store.map(str::to_owned),
    }
}

/// r1 was amended to another package before it was paid.
fn amended(plant: impl FnOnce(&mut Case)) -> Vec<Rule> {
    after(|case| {
        let mut amend = change(14, Kind::Amend, "r1", "b1", 2);
        (amend.version, amend.at) = (2, at(14) + ms(500));
        amend.selected = selected("a", &["q"], Some("s"));
        case.changes.insert(5, amend);
        case.changes[6].version = 2;
        case.changes[5].sequence = 15;
        case.changes[6].sequence = 16;
        case.changes[7].sequence = 17;
        case.totals_before.insert("package:q".to_owned(), None);
        case.audit.items[1] = audited("package:p", 5, 3, 0);
        let q = AuditItem { total: None, free: None, drift: None, ..audited("package:q", 5, 0, 1) };
        case.audit.items.push(q);
        let packages = vec!["q".to_owned()];
        let price = Some(prices().price("a", &packages));
        let shown = Hold { version: 2, packages, price, ..hold("r1", 2) };
        case.history[0].holds.push(shown.clone());
        case.history[0].amends.push(Amend {
            reservation: "r1".to_owned(),
            wanted: wanted(None, Some(&["q"]), None),
            step: Step::Done,
            shown: Some(shown),
        });
        plant(case);
    })
}

#[test]
fn an_amendment_as_acknowledged() {
    assert_eq!(amended(|_| {}), []);
    let not_changed = amended(|case| {
        let again = case.history[0].amends[0].clone();
        case.history[0].amends.push(again);
    });
    assert_eq!(not_changed, [], "a change that changes nothing leaves the version");
    let unknown = amended(|case| {
        (case.history[0].amends[0].step, case.history[0].amends[0].shown) = (Step::Unknown, None)
    });
    assert_eq!(unknown, []);
    let lost_then_refused = amended(|case| {
        let amend = &mut case.history[0].amends[0];
        (amend.step, amend.shown) = (Step::Refused("reservation-not-held".to_owned()), None);
        case.history[0].log.push(lost());
    });
    assert_eq!(lost_then_refused, []);
}

#[test]
fn amendments_that_differ_from_the_ledger() {
    let refused = amended(|case| {
        let amend = &mut case.history[0].amends[0];
        (amend.step, amend.shown) = (Step::Refused("sold-out".to_owned()), None);
    });
    assert_eq!(refused, [Rule::AmendAsAcknowledged], "a refused one was made");
    assert_eq!(
        amended(|case| case.history[0].amends.clear()),
        [Rule::AmendAsAcknowledged],
        "no request asked for it"
    );
    let shown =
        |change: fn(&mut Hold)| amended(|case| change(case.history[0].amends[0].shown.as_mut().unwrap()));
    assert_eq!(shown(|hold| hold.packages.clear()), [Rule::AmendAsAcknowledged]);
    assert_eq!(shown(|hold| hold.store = None), [Rule::AmendAsAcknowledged]);
    assert_eq!(shown(|hold| hold.version = 3), [Rule::AmendAsAcknowledged], "the ledger does not have it");
    assert_eq!(shown(|hold| hold.id = "r2".to_owned()), [Rule::AmendAsAcknowledged]);
    let replay = amended(|case| case.history[0].holds[1].packages = vec!["p".to_owned()]);
    assert_eq!(replay, [Rule::AcknowledgedIsInLedger], "a replay shows the version's own contents");
}

#[test]
fn an_acknowledged_amendment_shows_what_was_asked_for() {
    // The ledger and the answer have the model a, the package q and the store s.
    let asked = |change: WantedChange| amended(|case| case.history[0].amends[0].wanted = change);
    assert_eq!(asked(wanted(Some("a"), Some(&["q"]), Some("s"))), []);
    assert_eq!(asked(WantedChange::default()), [], "it asked for nothing");
    for swallowed in [
        wanted(Some("b"), None, None),
        wanted(None, Some(&["p"]), None),
        wanted(None, Some(&["p", "q"]), None),
        wanted(None, Some(&[]), None),
        wanted(None, None, Some("t")),
    ] {
        assert_eq!(asked(swallowed.clone()), [Rule::AmendAsAcknowledged], "{swallowed:?}");
    }
    let left_off = amended(|case| {
        let amend = &mut case.history[0].amends[0];
        amend.wanted = wanted(None, Some(&["q", "z"]), None);
        amend.shown.as_mut().unwrap().unavailable = vec!["package:z".to_owned()];
    });
    assert_eq!(left_off, [Rule::AmendAsAcknowledged], "an amendment leaves nothing off");
    let lost = amended(|case| {
        let amend = &mut case.history[0].amends[0];
        (amend.wanted, amend.step, amend.shown) = (wanted(Some("b"), None, None), Step::Unknown, None);
    });
    assert_eq!(lost, [], "the answer is not known");
    let later = amended(|case| {
        // The first one moved r1 to q; the later ones ask for the same, or left it there.
        let first = case.history[0].amends[0].clone();
        case.history[0].amends.push(Amend { wanted: wanted(None, None, Some("s")), ..first });
    });
    assert_eq!(later, []);
}

#[test]
fn foreign_reservations_are_counted() {
    let mut case = clean();
    assert_eq!(case.found().foreign_reservations, 0);
    case.changes.push(change(30, Kind::Reserve, "r9", "stranger", 6));
    let found = case.found();
    assert_eq!((found.foreign_reservations, found.violations.len()), (1, 0));
}
