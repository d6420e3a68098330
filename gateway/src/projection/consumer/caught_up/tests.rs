//! Unit tests of `caught_up.rs`.

use super::*;

#[test]
fn the_slowest_consumer_counts_and_a_removed_one_does_not() {
    let caught_up = CaughtUp::default();
    assert_eq!(caught_up.age(), None, "nothing is known yet");
    caught_up.add_behind("a");
    caught_up.add_behind("b");
    caught_up.set_listed();
    caught_up.note_caught_up("a");
    assert_eq!(caught_up.age(), None, "b was never read");
    caught_up.remove("b");
    assert!(caught_up.age().is_some());
    let one = CaughtUp::default();
    one.note_caught_up("");
    assert!(one.age().is_some());
}
