//! Unit tests of `change.rs`.

use super::{Change, position};

const LINE: &str = r#"{"at":"2026-11-30T00:00:00Z","change":3,"changes":4,"cursor":"4711-0/3~q83v","id":"4711-0",
    "kind":"reserve","reservation":"r1","sale":"small","number":17}"#;

#[test]
fn a_line_is_kept_as_it_is_beside_what_every_change_has() {
    let change = Change::parse(LINE).unwrap();
    assert_eq!((change.position(), &*change.cursor), ((4711, 3), "4711-0/3~q83v"));
    assert_eq!(change.digest(), "q83v");
    let long = Change::parse(&LINE.replace("~q83v", "~q83vEjRWAAAAAQ")).unwrap();
    assert_eq!(long.digest(), "q83vEjRW");
    assert_eq!((&*change.kind, change.reservation.as_deref()), ("reserve", Some("r1")));
    assert!(change.is_cut && !Change::parse(&LINE.replace(":4,", ":3,")).unwrap().is_cut);
    assert_eq!(change.line, serde_json::from_str::<serde_json::Value>(LINE).unwrap());
}

#[test]
fn a_line_that_is_none_is_refused_with_the_reason() {
    let wrong = [
        ("", "no JSON"),
        ("[]", "invalid"),
        (&LINE.replace("\"id\":\"4711-0\"", "\"id\":\"4711\""), "\"4711\" is not an id"),
        (&LINE.replace("4711-0/3~", "4711-0/4~"), "is not that of 4711-0, change 3"),
        (&LINE.replace("~q83v", ""), "names no history"),
        (&LINE.replace("~q83v", "~"), "names no history"),
        (&LINE.replace("\"kind\"", "\"kin\""), "missing field `kind`"),
    ];
    for (line, reason) in wrong {
        let error = Change::parse(line).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn the_position_of_a_cursor_orders_changes() {
    let cursors = ["0-0", "1-0/1~A_-", "1-0/2~B", "1-0~B", "4711-0/3~q83v"];
    let places = cursors.map(|cursor| position(cursor).unwrap());
    assert!(places.is_sorted(), "{places:?}");
    for wrong in ["", "4711", "4711-1", "x-0", "1-0/x", "-1-0"] {
        assert_eq!(position(wrong), None, "{wrong}");
    }
}
