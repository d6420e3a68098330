//! Unit tests of `buyers.rs`.

use super::*;

#[test]
fn it_contains_the_marks_added_and_no_others() {
    let marks = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let buyers = Buyers::of((0..1_000).map(marks));
    (1_000..2_000).map(marks).for_each(|mark| buyers.add(mark));
    assert!((0..2_000).map(marks).all(|mark| buyers.contains(mark)));
    assert!(!(2_000..9_000).map(marks).any(|mark| buyers.contains(mark)));
    assert!(buyers.parts.iter().all(|part| part.read().is_ok_and(|part| !part.is_empty())));
}
