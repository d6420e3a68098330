//! Unit tests of `journal.rs`.

use super::*;

#[test]
fn a_cursor_continues_inside_an_entry() {
    let inside = Cursor::parse("12-0/3").unwrap();
    assert_eq!(inside.whole_entries(), 11);
    assert!(Cursor { sequence: 12, change: 4, changes: 4 }.is_after(&inside));
    assert!(!Cursor { sequence: 12, change: 3, changes: 4 }.is_after(&inside));
    let whole = Cursor::parse("12-0").unwrap();
    assert_eq!(whole.whole_entries(), 12);
    assert!(!Cursor { sequence: 12, change: 4, changes: 4 }.is_after(&whole));
    assert!(Cursor { sequence: 13, change: 1, changes: 1 }.is_after(&whole));
    assert!(Cursor { sequence: 1, change: 1, changes: 1 }.is_after(&Cursor::START));
    for bad in ["", "x", "1", "1-2-3", "1-0/x", "-5"] {
        assert!(Cursor::parse(bad).is_err(), "{bad}");
    }
}
