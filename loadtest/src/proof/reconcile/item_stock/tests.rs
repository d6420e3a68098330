//! Unit tests of `item_stock.rs`.

use super::*;

#[test]
fn spells_are_found() {
    let mut spells = Intervals::default();
    for (at, goes_on) in [(10, true), (20, true), (30, false), (30, true), (50, false), (90, true)] {
        spells.note(at, goes_on);
    }
    for (from, to) in [(11, 29), (31, 49), (91, 1_000)] {
        assert!(spells.cover(from, to), "{from} to {to}");
    }
    for (from, to) in [(5, 8), (10, 20), (11, 30), (29, 31), (31, 50), (60, 70), (80, 95)] {
        assert!(!spells.cover(from, to), "{from} to {to}");
    }
}
