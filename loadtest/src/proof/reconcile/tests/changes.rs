//! Tests planted refusals of confirms, cancels and amendments.

use super::*;
use crate::base::requests::{AMEND, CANCEL, CONFIRM};
use crate::load::history::RefusedChange;

/// A buyer of `r3`, held from 13 to 18 with a grace until 19, is refused a change at this time.
fn refused(request: &str, why: &str, asked: Timestamp, change: impl FnOnce(&mut RefusedChange)) -> Vec<Rule> {
    after(|case| {
        // Of `q` there is plenty, of `p` nothing is left from 14 to 16.
        case.totals_before.insert("package:q".to_owned(), Some(5));
        case.audit.items.push(audited("package:q", 5, 0, 0));
        let answered = asked + SignedDuration::from_millis(5);
        let mut refused = RefusedChange {
            request: request.to_owned(),
            reservation: "r3".to_owned(),
            why: why.to_owned(),
            version: Some(1),
            wanted: vec!["package:q".to_owned()],
            answer: SoldOut { items: vec![], last: false, asked, answered },
            after_lost: false,
            after_settling: false,
            as_service: false,
            began: Some(at(13)),
        };
        change(&mut refused);
        case.history[2].refused.push(refused);
    })
}

fn sold_out(item: &str, wanted: &str) -> Vec<Rule> {
    refused(AMEND, "sold-out", at(15), |refused| {
        refused.wanted = vec![wanted.to_owned()];
        refused.answer.items = vec![item.to_owned()];
    })
}

#[test]
fn an_amendment_refused_as_sold_out() {
    assert_eq!(sold_out("package:q", "package:q"), [Rule::SoldOutWasTrue], "there was some");
    assert_eq!(sold_out("package:z", "package:z"), [Rule::SoldOutWasTrue], "the sale does not have it");
    assert_eq!(sold_out("model:a", "package:q"), [Rule::SoldOutWasTrue], "it was not asked for");
    assert_eq!(sold_out("package:p", "package:p"), [Rule::SoldOutWasTrue], "it has one");
    let gone = after(|case| {
        // r3 has no store, and none was left from 14 on.
        for change in case.changes.iter_mut().filter(|change| change.reservation() == "r3") {
            change.selected = selected("a", &["p"], None);
        }
        for hold in &mut case.history[2].holds {
            hold.store = None;
        }
        case.history[2].selection.store = None;
        case.totals_before.insert("store:s".to_owned(), Some(4));
        case.audit.items[2] = audited("store:s", 4, 2, 1);
        let asked = at(15);
        case.history[2].refused.push(RefusedChange {
            request: AMEND.to_owned(),
            reservation: "r3".to_owned(),
            why: "sold-out".to_owned(),
            version: None,
            wanted: vec!["store:s".to_owned()],
            answer: SoldOut { items: vec!["store:s".to_owned()], last: false, asked, answered: asked },
            after_lost: false,
            after_settling: false,
            as_service: false,
            began: Some(at(13)),
        });
    });
    assert_eq!(gone, []);
    let is_final = refused(AMEND, "sold-out", at(15), |refused| refused.answer.last = true);
    assert_eq!(is_final, [Rule::FinalIsFinal]);
}

#[test]
fn a_change_refused_as_not_held() {
    let not_held = |request: &str, asked| refused(request, "reservation-not-held", asked, |_| {});
    let ms = SignedDuration::from_millis;
    assert_eq!(not_held(AMEND, at(16) - ms(10)), [Rule::AmendAsAcknowledged]);
    assert_eq!(not_held(AMEND, at(16)), [], "two seconds more may have passed on the sale clock");
    assert_eq!(not_held(CONFIRM, at(16)), [Rule::StepsAsAcknowledged], "there is a grace");
    assert_eq!(not_held(CANCEL, at(17) - ms(10)), [Rule::StepsAsAcknowledged]);
    assert_eq!(not_held(CONFIRM, at(17)), []);
    let lost = refused(CANCEL, "reservation-not-held", at(14), |refused| refused.after_lost = true);
    assert_eq!(lost, [], "what was lost may have cancelled it");
    // b1 paid for r1: before it was refused, or after that.
    let of = |id: &str, request: &str, after_settling| {
        refused(request, "reservation-not-held", at(15), |refused| {
            (refused.reservation, refused.after_settling) = (id.to_owned(), after_settling);
        })
    };
    assert_eq!(of("r1", AMEND, true), []);
    assert_eq!(of("r1", AMEND, false), [Rule::AmendAsAcknowledged]);
    assert_eq!(of("r1", CANCEL, true), [], "a buyer can't cancel what is paid");
    assert_eq!(of("r2", CONFIRM, true), [], "it was cancelled, by another than this buyer");
    assert_eq!(of("old", CANCEL, false), [], "it is older than the run");
}

#[test]
fn a_refund_refused_as_not_held() {
    let refund = |id: &str, asked, change: fn(&mut RefusedChange)| {
        refused(CANCEL, "reservation-not-held", asked, |refused| {
            (refused.reservation, refused.after_settling, refused.as_service) = (id.to_owned(), true, true);
            change(refused);
        })
    };
    assert_eq!(refund("r1", at(16), |_| {}), [Rule::StepsAsAcknowledged], "it is paid");
    assert_eq!(refund("r1", at(60), |_| {}), [Rule::StepsAsAcknowledged], "what is paid never expires");
    assert_eq!(refund("r1", at(16), |refused| refused.after_lost = true), [], "it may be cancelled already");
    assert_eq!(refund("r3", at(60), |_| {}), [], "it was not paid, and expired");
    assert_eq!(refund("r3", at(15), |_| {}), [Rule::StepsAsAcknowledged], "it was still held");
    assert_eq!(refund("r2", at(15), |_| {}), [], "it was cancelled, by another than this buyer");
    assert_eq!(refund("old", at(6), |_| {}), [], "it is older than the run");
}

#[test]
fn a_change_refused_as_outdated() {
    let changed =
        |version| refused(CONFIRM, "reservation-changed", at(15), |refused| refused.version = version);
    assert_eq!(changed(Some(1)), [Rule::StepsAsAcknowledged]);
    assert_eq!(changed(Some(2)), [], "the ledger does not have it, which is found where it was shown");
    assert_eq!(changed(None), [Rule::StepsAsAcknowledged], "none was named");
}

#[test]
fn a_payment_refused_for_another() {
    let conflict = |id: &str| {
        refused(CONFIRM, "payment-conflict", at(17), |refused| refused.reservation = id.to_owned())
    };
    assert_eq!(conflict("r3"), [Rule::StepsAsAcknowledged], "there is no payment");
    assert_eq!(conflict("r1"), [], "it has another one");
}
