//! Checks that an accepted cursor keeps its position and its history when printed and parsed again, is safe in a URL
//! without escapes, and that cursors are totally ordered.

use std::cmp::Ordering;

use gateway::store::journal::Cursor;

pub(super) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    // Two cursors, so that they can be compared.
    let (a, b) = text.split_once(' ').unwrap_or((text, ""));
    let (Ok(a), b) = (Cursor::parse(a), Cursor::parse(b)) else {
        return;
    };
    let again = Cursor::parse(&a.to_string()).unwrap_or_else(|e| panic!("{a:?}: {e}"));
    assert_eq!(again, a);
    let is_unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    assert!(a.to_string().chars().all(is_unreserved));
    assert!(a.to_string().len() <= 140);
    assert!(!a.is_after(&a));
    if let Ok(b) = b {
        let order = (a.sequence, a.change).cmp(&(b.sequence, b.change));
        assert_eq!(a.is_after(&b), order == Ordering::Greater);
        assert_eq!(b.is_after(&a), order == Ordering::Less);
    }
}
