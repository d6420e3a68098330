//! Tests prices and times that were shown otherwise than they are, and those that an outage makes later.

use jiff::{SignedDuration, Timestamp};

use crate::load::history::Hold;
use crate::proof::reconcile::tests::broken_by_hold;
use crate::proof::rules::Rule;

fn ms(ms: i64) -> SignedDuration {
    SignedDuration::from_millis(ms)
}

/// What breaks when the only answer to a tap showed it so.
fn broken(change: impl FnOnce(&mut Hold)) -> Vec<Rule> {
    broken_by_hold(change)
}

fn moved(at: &mut Option<Timestamp>, by_ms: i64) {
    *at = at.map(|at| at + ms(by_ms));
}

#[test]
fn a_price_is_that_of_the_definition_with_all_its_lines() {
    assert_eq!(broken(|_| {}), []);
    let price =
        |change: fn(&mut crate::plan::price_list::Price)| broken(|hold| change(hold.price.as_mut().unwrap()));
    let wrong = [Rule::AcknowledgedIsInLedger];
    assert_eq!(price(|price| price.total += 1), wrong);
    assert_eq!(price(|price| price.deposit = 0), wrong);
    assert_eq!(price(|price| price.balance -= 1), wrong);
    assert_eq!(price(|price| price.currency = "EUR".to_owned()), wrong);
    assert_eq!(price(|price| price.lines.truncate(1)), wrong);
    assert_eq!(price(|price| price.lines[1].amount += 1), wrong);
    assert_eq!(price(|price| price.lines[0].item = "model:b".to_owned()), wrong);
    assert_eq!(broken(|hold| hold.price = None), wrong);
}

#[test]
fn times_are_those_of_the_ledger() {
    let wrong = [Rule::AcknowledgedIsInLedger];
    assert_eq!(broken(|hold| moved(&mut hold.held_at, 1)), wrong);
    assert_eq!(broken(|hold| hold.held_at = None), wrong);
    assert_eq!(broken(|hold| hold.server_time = None), wrong);
    assert_eq!(broken(|hold| hold.expires_at = None), wrong, "a hold has a deadline");
    assert_eq!(broken(|hold| hold.state = "expired".to_owned()), wrong, "only a hold has one");
    let ended = |hold: &mut Hold| (hold.state, hold.expires_at) = ("expired".to_owned(), None);
    assert_eq!(broken(ended), []);
}

#[test]
fn a_new_hold_lasts_just_as_long_as_defined() {
    let new = |by_ms| {
        broken(|hold| {
            hold.is_new = true;
            moved(&mut hold.expires_at, by_ms);
        })
    };
    assert_eq!(new(0), []);
    assert_eq!(new(1), []);
    assert_eq!(new(2), [Rule::AcknowledgedIsInLedger]);
    assert_eq!(new(-2), [Rule::AcknowledgedIsInLedger]);
}

#[test]
fn a_later_answer_may_show_the_time_that_an_outage_gives_back() {
    let later = |answered_ms, expires_ms| {
        broken(|hold| {
            moved(&mut hold.server_time, answered_ms);
            moved(&mut hold.expires_at, expires_ms);
        })
    };
    assert_eq!(later(3_000, 0), []);
    assert_eq!(later(3_000, 3_000), [], "the sale clock stood still");
    assert_eq!(later(3_000, -4_000), [], "a tick came late, and the clock was set back");
    assert_eq!(later(3_000, -4_001), [Rule::AcknowledgedIsInLedger]);
    assert_eq!(later(3_000, 3_500), [Rule::AcknowledgedIsInLedger], "longer than a whole hold from then on");
}

#[test]
fn server_time_is_the_instant_of_the_answer() {
    let exchanged = |by_ms| {
        broken(|hold| {
            let at = hold.server_time.unwrap() + ms(by_ms);
            hold.exchanged = Some((at, at + ms(5)));
        })
    };
    for by_ms in [0, 2_000, -2_000] {
        assert_eq!(exchanged(by_ms), [], "{by_ms}");
    }
    for by_ms in [2_100, -2_100, 3_600_000, -3_600_000] {
        assert_eq!(exchanged(by_ms), [Rule::ServerTime], "{by_ms}");
    }
}
