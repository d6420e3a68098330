//! Tests planted refusals by the sale's phase.

use super::*;
use crate::load::history::PhaseRefusal;
use crate::proof::ledger::tests::define;

/// b7 is refused so at this time, in a sale that opens at 10 and closes at 40.
fn refused(phase: &str, asked: Timestamp, actions: &[(&str, u64)]) -> Vec<Rule> {
    after(|case| {
        (case.terms.opens_at, case.terms.closes_at) = (Some(at(10)), Some(at(40)));
        let answered = asked + SignedDuration::from_millis(5);
        case.history[6].by_phase.push(PhaseRefusal { phase: phase.to_owned(), asked, answered });
        for (kind, sequence) in actions {
            case.operator_actions.push(OperatorAction { kind: (*kind).to_owned(), ..define(*sequence) });
        }
    })
}

#[test]
fn a_tap_refused_by_a_phase_that_was_not() {
    let ms = SignedDuration::from_millis;
    let untrue = [Rule::PhaseWasTrue];
    assert_eq!(refused("not-open", at(10) - ms(1), &[]), []);
    assert_eq!(refused("not-open", at(10) + ms(60), &[]), [], "clocks may differ");
    assert_eq!(refused("not-open", at(11), &[]), untrue);
    assert_eq!(refused("closed", at(20), &[]), untrue);
    assert_eq!(refused("closed", at(40) - ms(60), &[]), [], "clocks may differ");
    assert_eq!(refused("closed", at(20), &[("close", 18)]), []);
    assert_eq!(refused("closed", at(17), &[("close", 18)]), untrue);
    assert_eq!(refused("paused", at(20), &[]), untrue);
    assert_eq!(refused("paused", at(20), &[("pause", 18)]), []);
    assert_eq!(refused("paused", at(20), &[("pause", 17), ("resume", 19)]), [], "a read model may be old");
    assert_eq!(refused("paused", at(22), &[("pause", 17), ("resume", 19)]), untrue);
    assert_eq!(refused("paused", at(17), &[("pause", 18), ("resume", 19)]), untrue);
    assert_eq!(refused("closed", at(20), &[("define", 19)]), [], "the definition may have moved the closing");
}
