//! Tests planted violations of the rules about queues; `tests/draw.rs` of those about sign-ups and draws.

mod draw;

use jiff::SignedDuration;

use crate::base::scenario::Scenario;
use crate::load::history::waiting::{Join, ShownDraw, ShownPlace, ShownSignUp, SignUp, SignUpLook, Waiting};
use crate::load::history::{Step, TapHistory};
use crate::plan::selection::{Choice, SignUpTerms};
use crate::proof::ledger::tests::{at, change, define, restock, selected};
use crate::proof::ledger::{Kind, OperatorAction, WaitingLine, WaitingStep};
use crate::proof::reconcile::tests::{Case, audited, clean, hold};
use crate::proof::rules::Rule;

fn line(sequence: u64, step: WaitingStep) -> WaitingLine {
    WaitingLine { sequence, at: at(sequence), step }
}

fn choice(model: &str) -> Choice {
    Choice { model: model.to_owned(), packages: vec!["p".to_owned()], store: Some("s".to_owned()) }
}

fn joins(sequence: u64, buyer: &str, number: u64) -> WaitingLine {
    line(sequence, WaitingStep::Join { buyer: buyer.into(), number, choice: choice("a") })
}

/// Half a second after an entry.
fn after(sequence: u64) -> Option<(jiff::Timestamp, jiff::Timestamp)> {
    let then = at(sequence) + SignedDuration::from_millis(500);
    Some((then, then + SignedDuration::from_millis(5)))
}

fn place(sequence: u64, state: &str, position: Option<u64>, reservation: Option<&str>) -> ShownPlace {
    ShownPlace {
        model: "a".to_owned(),
        state: state.to_owned(),
        position,
        odds: position.map(|_| 0.5),
        reservation: reservation.map(str::to_owned),
        exchanged: after(sequence),
    }
}

fn history(buyer: &str, waiting: Waiting) -> TapHistory {
    let selection = choice("a").selection();
    let new = TapHistory::new(buyer.to_owned(), format!("{buyer}-key"), Scenario::CROWD, selection);
    TapHistory { waiting: Some(Box::new(waiting)), ..new }
}

fn joined(sequence: u64, places: Vec<ShownPlace>) -> Waiting {
    let position = places.first().and_then(|first| first.position);
    let shown = Some(place(sequence, "waiting", position.or(Some(1)), None));
    let join = Join { wants: Some(choice("a")), step: Step::Done, shown, exchanged: after(sequence) };
    Waiting { joins: vec![join], places, ..Waiting::default() }
}

/// As `clean`, but two buyers wait when b2 cancels: w1 is granted what comes back.
fn queue() -> Case {
    let mut case = clean();
    case.changes.retain(|change| change.sequence < 15);
    let mut paid = change(20, Kind::Confirm, "r1", "b1", 2);
    paid.payment = Some("pay-b1".into());
    case.changes.extend([
        change(17, Kind::Cancel, "r2", "b2", 3),
        change(18, Kind::Grant, "g1", "w1", 6),
        paid,
    ]);
    case.waiting = vec![joins(15, "w1", 1), joins(16, "w2", 2)];
    case.audit.sequence = 21;
    let items = ["model:a", "package:p", "store:s"];
    case.audit.items = items.iter().map(|item| audited(item, 5, 4, 1)).collect();
    let mut granted = hold("g1", 6);
    (granted.held_at, granted.server_time) = (Some(at(18)), Some(at(18)));
    granted.expires_at = Some(at(23));
    let first = joined(15, vec![place(15, "waiting", Some(1), None), place(18, "granted", None, Some("g1"))]);
    case.history.push(TapHistory { holds: vec![granted], ..history("w1", first) });
    let second = joined(16, vec![place(16, "waiting", Some(2), None), place(21, "waiting", Some(1), None)]);
    case.history.push(history("w2", second));
    case
}

fn waiting<'a>(case: &'a mut Case, buyer: &str) -> &'a mut Waiting {
    let history = case.history.iter_mut().find(|history| history.buyer == buyer).unwrap();
    history.waiting.as_mut().unwrap()
}

fn in_queue(plant: impl FnOnce(&mut Case)) -> Vec<Rule> {
    let mut case = queue();
    plant(&mut case);
    case.broken()
}

#[test]
fn a_queue_that_moves_passes() {
    assert_eq!(queue().broken(), []);
    // Who was granted something need not have seen it.
    let unseen = in_queue(|case| {
        case.history.retain(|history| history.buyer != "w1");
        case.history.push(history("w1", joined(15, vec![])));
    });
    assert_eq!(unseen, []);
}

#[test]
fn a_grant_out_of_order() {
    let to_the_second = |case: &mut Case| {
        case.changes[6] = change(18, Kind::Grant, "g1", "w2", 6);
        case.history.retain(|history| history.waiting.is_none());
    };
    assert_eq!(in_queue(to_the_second), [Rule::QueueInOrder]);
    let to_nobody = |case: &mut Case| {
        case.changes[6] = change(18, Kind::Grant, "g1", "w3", 6);
        case.history.retain(|history| history.waiting.is_none());
    };
    assert_eq!(in_queue(to_nobody), [Rule::QueueInOrder]);
    let skipped = |case: &mut Case| {
        case.waiting.push(line(19, WaitingStep::Skip { buyer: "w2".into() }));
        case.waiting.insert(2, joins(17, "w0", 3));
        waiting(case, "w2").places.pop();
    };
    // In one entry: w1 is passed over, and w2 is granted what comes back. Only who is at a limit is passed over.
    let in_one_entry = |case: &mut Case| {
        case.terms.attempts = 0;
        case.waiting.insert(2, line(18, WaitingStep::Skip { buyer: "w1".into() }));
        case.changes[6] = change(18, Kind::Grant, "g1", "w2", 6);
        case.history.retain(|history| history.waiting.is_none());
    };
    assert_eq!(in_queue(in_one_entry), []);
    let not_the_first = |case: &mut Case| {
        case.waiting.insert(2, line(17, WaitingStep::Skip { buyer: "w2".into() }));
        case.history.retain(|history| history.waiting.is_none());
    };
    assert_eq!(in_queue(not_the_first), [Rule::QueueInOrder]);
    assert_eq!(in_queue(skipped), [Rule::PlaceAsShown], "no limit was reached");
    assert_eq!(in_queue(|case| case.waiting[1] = joins(16, "w2", 3)), [Rule::QueueInOrder], "a gap");
    // A recovery repeats what gateways have, in an order of its own.
    let recovered = in_queue(|case| {
        to_the_second(case);
        case.operator_actions.push(OperatorAction { kind: "adopt".to_owned(), ..define(19) });
    });
    assert_eq!(recovered, []);
}

#[test]
fn a_tap_that_wins_what_others_wait_for() {
    let by_tap = |case: &mut Case| case.changes[6] = change(18, Kind::Reserve, "g1", "w1", 6);
    assert!(in_queue(by_tap).contains(&Rule::NotPassedOver));
    let by_patch = in_queue(|case| {
        let mut other = change(17, Kind::Amend, "r3", "b3", 4);
        (other.version, other.selected) = (2, selected("a", &["p"], Some("s")));
        case.changes[3].selected = selected("b", &["p"], Some("s"));
        case.changes.insert(6, other);
    });
    assert!(by_patch.contains(&Rule::NotPassedOver), "{by_patch:?}");
}

#[test]
fn a_place_that_is_shown_otherwise() {
    let shown = |change: fn(&mut Waiting)| in_queue(|case| change(waiting(case, "w2")));
    assert_eq!(shown(|w2| w2.places[0].position = Some(1)), [Rule::PlaceAsShown]);
    assert_eq!(shown(|w2| w2.places[1].position = Some(2)), [Rule::PlaceAsShown], "long after the grant");
    assert_eq!(shown(|w2| w2.places[1].exchanged = after(18)), [], "soon after it");
    assert_eq!(shown(|w2| w2.places[0].odds = Some(1.5)), [Rule::PlaceAsShown]);
    assert_eq!(shown(|w2| w2.places[0].model = "b".to_owned()), [Rule::PlaceAsShown]);
    assert_eq!(shown(|w2| w2.places[1] = place(21, "granted", None, Some("g1"))), [Rule::PlaceAsShown]);
    assert_eq!(shown(|w2| w2.places[1] = place(21, "skipped", None, None)), [Rule::PlaceAsShown]);
    assert_eq!(shown(|w2| w2.places[1] = place(21, "ended", None, None)), [Rule::PlaceAsShown]);
    assert_eq!(shown(|w2| w2.places[1].state = "lost".to_owned()), [Rule::PlaceAsShown]);
    let closed = in_queue(|case| {
        case.operator_actions.push(OperatorAction { kind: "close".to_owned(), ..define(20) });
        waiting(case, "w2").places[1] = place(21, "ended", None, None);
    });
    assert_eq!(closed, []);
}

#[test]
fn joins_and_departures_that_are_not_in_the_ledger() {
    assert_eq!(in_queue(|case| drop(case.waiting.pop())), [Rule::PlaceAsShown]);
    let left = |step| Join { wants: None, step, shown: None, exchanged: after(20) };
    assert_eq!(in_queue(|case| waiting(case, "w2").joins.push(left(Step::Done))), [Rule::PlaceAsShown]);
    assert_eq!(in_queue(|case| waiting(case, "w2").joins.push(left(Step::Unknown))), []);
    let gone = in_queue(|case| {
        waiting(case, "w2").joins.push(left(Step::Done));
        waiting(case, "w2").places.pop();
        case.waiting.push(line(19, WaitingStep::Leave { buyer: "w2".into() }));
    });
    assert_eq!(gone, []);
    let by_itself = in_queue(|case| {
        waiting(case, "w2").places.pop();
        case.waiting.push(line(19, WaitingStep::Leave { buyer: "w2".into() }));
    });
    assert_eq!(by_itself, [Rule::PlaceAsShown], "nobody asked to leave");
    let refused = in_queue(|case| {
        let join = &mut waiting(case, "w2").joins[0];
        (join.step, join.shown) = (Step::Refused("sale-closed".to_owned()), None);
        case.operator_actions.push(OperatorAction { kind: "close".to_owned(), ..define(16) });
    });
    assert_eq!(refused, [Rule::PlaceAsShown], "a refusal that left a place");
}

#[test]
fn refusals_of_those_who_could_have_joined() {
    let refused = |why: &str, sequence: u64| {
        in_queue(|case| {
            let step = Step::Refused(why.to_owned());
            let join = Join { wants: Some(choice("a")), step, shown: None, exchanged: after(sequence) };
            case.history.push(history("w3", Waiting { joins: vec![join], ..Waiting::default() }));
        })
    };
    // All of a was taken from entry 14 on; a look may be two seconds old.
    assert_eq!(refused("not-sold-out", 13), []);
    assert_eq!(refused("not-sold-out", 20), [Rule::PlaceAsShown]);
    assert_eq!(refused("standby-full", 20), [Rule::PlaceAsShown]);
    assert_eq!(refused("purchase-limit", 20), [Rule::PlaceAsShown]);
    assert_eq!(refused("sale-paused", 20), [Rule::PlaceAsShown]);
    assert_eq!(refused("unknown-item", 20), [Rule::PlaceAsShown]);
}

#[test]
fn units_that_nobody_gets_while_buyers_wait() {
    // Two more of a, and w2 still waits: for a second, for twenty, and while grants are suspended.
    let more = |last: u64, suspended: bool| {
        in_queue(|case| {
            case.operator_actions.push(restock(19, "model:a", 7, 5));
            case.audit.items[0].total = Some(7);
            (case.audit.items[0].free, case.audit.items[0].aside) = (Some(0), Some(2));
            case.changes.push(change(last, Kind::Expire, "r5", "b5", 5));
            if suspended {
                let suspend = OperatorAction { kind: "standby-suspend".to_owned(), ..define(18) };
                case.operator_actions.insert(0, suspend);
            }
        })
    };
    assert_eq!(more(22, false), []);
    assert_eq!(more(40, false), [Rule::NotPassedOver]);
    assert_eq!(more(40, true), []);
    let closed = in_queue(|case| {
        case.terms.closes_at = Some(at(22));
        case.operator_actions.push(restock(19, "model:a", 7, 5));
        case.audit.items[0].total = Some(7);
        (case.audit.items[0].free, case.audit.items[0].aside) = (Some(0), Some(2));
        case.changes.push(change(60, Kind::Expire, "r5", "b5", 5));
    });
    assert_eq!(closed, [], "nothing is granted once it is over");
}

#[test]
fn what_is_set_aside_is_neither_free_nor_sold_out_wrongly() {
    // Two more of a, set aside for w2 and others: a tap is refused although some is left.
    let refused = |with_queue: bool| {
        in_queue(|case| {
            case.operator_actions.push(restock(19, "model:a", 7, 5));
            case.audit.items[0].total = Some(7);
            (case.audit.items[0].free, case.audit.items[0].aside) = (Some(0), Some(2));
            let sold_out = case.history[3].sold_out.first_mut().unwrap();
            (sold_out.asked, sold_out.answered) = after(21).unwrap();
            if !with_queue {
                case.waiting.pop();
                case.history.pop();
            }
        })
    };
    assert_eq!(refused(true), []);
    assert_eq!(refused(false), [Rule::SoldOutWasTrue]);
}

#[test]
fn odds_come_true_when_enough_comes_back_afterwards() {
    let mut case = queue();
    assert_eq!(case.found().odds, None, "while a is held, more may come back");
    for (id, buyer, number) in [("r3", "b3", 4), ("r5", "b5", 5), ("old", "b6", 1), ("g1", "w1", 6)] {
        case.changes.push(change(60, Kind::Cancel, id, buyer, number));
    }
    // w1 saw 0.5 at position 1 before the one grant; w2 at position 2 before it, and at 1 after it.
    let words = "2 places were shown odds of 50.0 % on average, and for 50.0 % enough came back";
    assert_eq!(case.found().odds.as_deref(), Some(words));
}
