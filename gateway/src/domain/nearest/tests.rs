//! Unit tests of `nearest.rs`.

use super::*;

#[test]
fn obvious_slips_are_recognised() {
    let keys = ["id", "name", "opens_at", "closes_at", "hold", "grace", "per_buyer", "attempts", "deposit"];
    for (key, meant) in [
        ("opens", Some("opens_at")),
        ("opens-at", Some("opens_at")),
        ("close_at", Some("closes_at")),
        ("hold_ms", Some("hold")),
        ("Name", Some("name")),
        ("nmae", Some("name")),
        ("perbuyer", Some("per_buyer")),
        ("attempt", Some("attempts")),
        ("colour", None),
        ("x", None),
        ("", None),
    ] {
        assert_eq!(closest(key, &keys), meant, "{key}");
    }
}

#[test]
fn distances() {
    assert_eq!(distance("kitten", "sitting"), 3);
    assert_eq!(distance("", "abc"), 3);
    assert_eq!(distance("abc", "abc"), 0);
}
