//! Unit tests of `screen.rs`.

use super::*;

#[test]
fn lines_are_cut_between_characters() {
    assert_eq!((cut("abc", 2), cut("abc", 3), cut("abc", 80), cut("", 0)), ("ab", "abc", "abc", ""));
    assert_eq!(cut("汽车", 1), "汽");
}
