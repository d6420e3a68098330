//! Unit tests of `load.rs`.

use super::*;

#[test]
fn the_taps_wait_for_the_opening() {
    let now = Instant::now();
    let second = Duration::from_secs(1);
    let moments = RunInstants::new(now, now + 60 * second, 1000, 1000, now + 120 * second).unwrap();
    assert_eq!(moments.opening, now + 60 * second);
    assert!(now < moments.warm_from && moments.warm_from < moments.burst && moments.burst < moments.opening);
    assert!(moments.lead_max(1000) > 58 * second);
}

#[test]
fn a_past_opening_is_tapped_when_all_are_warm() {
    let now = Instant::now();
    let moments = RunInstants::new(now, now, 1000, 1000, now + Duration::from_secs(120)).unwrap();
    assert!(moments.warm_from >= now && moments.opening < now + Duration::from_secs(10));
}

#[test]
fn an_opening_after_the_deadline_is_not_waited_for() {
    let now = Instant::now();
    let (opening, deadline) = (now + Duration::from_secs(200), now + Duration::from_secs(120));
    assert_eq!(RunInstants::new(now, opening, 10, 10, deadline), None);
}
