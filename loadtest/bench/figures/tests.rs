//! Unit tests of `figures.rs`.

use super::*;

#[test]
fn a_median_is_the_middle_one_or_between_the_two() {
    let of = |values: &[f64]| Spread::of(values.iter().copied());
    assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, least: 1.0, most: 3.0 }));
    assert_eq!(of(&[4.0, 1.0]), Some(Spread { median: 2.5, least: 1.0, most: 4.0 }));
    assert_eq!(of(&[]), None);
}
