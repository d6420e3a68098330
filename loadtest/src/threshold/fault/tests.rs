//! Unit tests of `fault.rs`: a miss is the server's only if lateness can't explain it.

use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A hundred wins after so long, of starts of which some were late.
fn fault(text: &str, waited: u64, lates: &[(u64, u64)]) -> Option<Fault> {
    let mut figures = Figures::default();
    (0..100).for_each(|_| figures.ended(Scenario::SPIKE, Outcome::Won, 0, ms(waited)));
    for (count, late) in lates {
        let started = i64::try_from(*late).unwrap() * 1_000;
        (0..*count).for_each(|_| figures.started(0, started, Duration::ZERO, ms(1_000)));
    }
    Threshold::parse(text).unwrap().judge(&figures, Queued::default()).fault
}

#[test]
fn a_miss_by_more_than_the_lateness_is_the_servers() {
    assert_eq!(fault("won.p99 < 250ms", 200, &[(100, 90)]), None, "it is met");
    assert_eq!(fault("won.p99 < 250ms", 300, &[(100, 1)]), Some(Fault::Server));
    assert_eq!(fault("won.p99 < 250ms", 300, &[(100, 90)]), Some(Fault::Generator));
    assert_eq!(fault("won.p99 < 250ms", 400, &[(100, 90)]), Some(Fault::Server));
    // Half of the starts were late, and nearly all waits are too long.
    assert_eq!(fault("won.p99 < 250ms", 300, &[(50, 1), (50, 90)]), Some(Fault::Server));
    assert_eq!(fault("won.p50 < 250ms", 300, &[(49, 1), (51, 90)]), Some(Fault::Generator));
    for stat in ["max", "mean"] {
        assert_eq!(fault(&format!("won.{stat} < 250ms"), 300, &[(99, 1), (1, 90)]), Some(Fault::Generator));
        assert_eq!(fault(&format!("won.{stat} < 250ms"), 400, &[(99, 1), (1, 90)]), Some(Fault::Server));
    }
}

#[test]
fn counts_are_the_servers_and_starts_the_generators() {
    assert_eq!(fault("won < 1", 1, &[(100, 900)]), Some(Fault::Server));
    assert_eq!(fault("late.p99 < 1ms", 1, &[(100, 900)]), Some(Fault::Generator));
    assert_eq!(fault("won.p99 > 1s", 1, &[(100, 900)]), Some(Fault::Server), "lateness only adds");
}

#[test]
fn the_late_ones_may_be_the_few_that_won() {
    let fault = |waited: u64| {
        let mut figures = Figures::default();
        // A hiccup at the opening: the first 60 of 10,000 starts are late, and these win.
        (0..60).for_each(|_| figures.ended(Scenario::SPIKE, Outcome::Won, 0, ms(waited + 90)));
        (0..10_000).for_each(|n| {
            figures.started(0, if n < 60 { 90_000 } else { 0 }, Duration::ZERO, ms(1_000));
        });
        Threshold::parse("won.p99 < 250ms").unwrap().judge(&figures, Queued::default()).fault
    };
    assert_eq!(fault(200), Some(Fault::Generator));
    assert_eq!(fault(300), Some(Fault::Server));
}

#[test]
fn a_wait_for_a_connection_explains_as_much_as_lateness() {
    let fault = |text: &str, waited: u64, longer: u64| {
        let mut figures = Figures::default();
        (0..100).for_each(|_| figures.ended(Scenario::SPIKE, Outcome::Won, 0, ms(waited)));
        (0..100).for_each(|_| figures.started(0, 0, Duration::ZERO, ms(1_000)));
        let queued = Queued { longest: ms(90), bound: ms(20), longer };
        Threshold::parse(text).unwrap().judge(&figures, queued).fault
    };
    assert_eq!(fault("won.p99 < 250ms", 300, 100), Some(Fault::Generator));
    assert_eq!(fault("won.p99 < 250ms", 400, 100), Some(Fault::Server));
    assert_eq!(fault("won.p99 < 250ms", 260, 1), Some(Fault::Generator));
    assert_eq!(
        fault("won.p99 < 250ms", 300, 5),
        Some(Fault::Server),
        "of 100 only 5 have queued for so long"
    );
    assert_eq!(fault("won.mean < 250ms", 300, 100), Some(Fault::Generator));
    assert_eq!(fault("won.mean < 250ms", 300, 5), Some(Fault::Server));
    assert_eq!(fault("won.max < 250ms", 300, 5), Some(Fault::Generator));
}
