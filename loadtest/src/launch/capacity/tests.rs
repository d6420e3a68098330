//! Unit tests of `capacity.rs`.

use super::*;

/// Looks for a knee that is known.
fn find(knee: f64, from: f64, up_to: f64) -> (Search, usize) {
    let mut search = Search::new(from, up_to);
    let mut steps = 0;
    while let Some(rate) = search.next() {
        search.record(rate, if rate <= knee { End::Held } else { End::Broke });
        steps += 1;
        assert!(steps < STEPS_MAX);
    }
    (search, steps)
}

#[test]
fn a_knee_is_found_within_a_twentieth() {
    for knee in [3.0, 90.0, 500.0, 7_300.0, 99_000.0] {
        let (search, _) = find(knee, 500.0, 200_000.0);
        let (held, (not, _)) = (search.held.unwrap(), search.not.unwrap());
        assert!(held <= knee && knee < not && (not <= held * WITHIN || not - held <= 1.0), "{held} {not}");
    }
}

#[test]
fn what_is_never_reached_is_not_looked_for() {
    let (search, steps) = find(1e9, 500.0, 4_000.0);
    assert_eq!((search.held, search.not, steps), (Some(4_000.0), None, 4));
    let (search, _) = find(0.0, 500.0, 4_000.0);
    assert_eq!(search.held, None);
}
