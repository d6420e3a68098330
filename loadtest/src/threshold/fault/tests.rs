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
    Threshold::parse(text).unwrap().judge(&figures).fault
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
