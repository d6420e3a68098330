//! Unit tests of `format.rs`.

use super::*;

#[test]
fn differences_are_found_and_nothing_else() {
    let one = r#"{"a": 1, "b": [{"c": 1}, 2], "d": null}"#;
    assert_eq!(differing(one, r#"{"d": null, "b": [{"c": 1}, 2], "a": 1}"#), Vec::<String>::new());
    assert_eq!(differing(one, r#"{"a": 2, "b": [{"c": 3}], "e": 1}"#), ["/a", "/b/0/c", "/b/1", "/e"]);
}

#[test]
fn sizes_and_times_are_short() {
    assert_eq!([0, 1_023, 1_024, 1_610_612_736].map(bytes), ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB"]);
    assert_eq!(
        [0, 59, 60, 3_661, 86_400, 90_061].map(age),
        ["0 s", "59 s", "1 min", "1 h 1 min", "1 d", "1 d 1 h"]
    );
    assert_eq!(some(&["a", "b"]), "a, b");
    assert_eq!(some(&["a"; 7]), "a, a, a, a, a and 2 more");
}
