//! Unit tests of `identity.rs`.

use super::*;

#[test]
fn an_id_is_the_same_for_the_same_key_and_no_other() {
    let id = reservation_id("sale", "alice", "k1");
    assert_eq!(id.len(), ID_CHARS);
    assert!(is_reservation_id(&id));
    assert_eq!(id, reservation_id("sale", "alice", "k1"));
    assert_eq!(id[..BUYER_CHARS], reservation_id("sale", "alice", "k2")[..BUYER_CHARS]);
    assert_eq!(id[..BUYER_CHARS], buyer_part("sale", "alice"));
    for other in [
        reservation_id("sale", "alice", "k2"),
        reservation_id("sale", "bob", "k1"),
        reservation_id("sale2", "alice", "k1"),
    ] {
        assert_ne!(id, other);
    }
    assert_ne!(buyer_part("ab", "c"), buyer_part("a", "bc"));
}

#[test]
fn marks_are_read_from_ids_only() {
    let id = reservation_id("sale", "alice", "k1");
    assert_eq!(buyer_mark(&id), buyer_mark(&buyer_part("sale", "alice")));
    assert_eq!(buyer_mark(&id), Some(BuyerHash::new("sale", "alice").mark()));
    assert!(buyer_mark(&id).is_some());
    for bad in ["", "short", "äöüäöüäöüä", "!!!!!!!!!!!!!!!!!!!!"] {
        assert_eq!(buyer_mark(bad), None, "{bad}");
    }
}

#[test]
fn a_fingerprint_ignores_the_order_of_packages_only() {
    let packages = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let print = fingerprint("m", &packages(&["a", "b"]), Some("s"), false);
    assert_eq!(print, fingerprint("m", &packages(&["b", "a"]), Some("s"), false));
    assert_ne!(print, fingerprint("m", &packages(&["a"]), Some("s"), false));
    assert_ne!(print, fingerprint("m", &packages(&["a", "b"]), Some("s"), true));
    assert_ne!(print, fingerprint("m", &packages(&["a", "b"]), Some("t"), false));
    assert_ne!(print, fingerprint("n", &packages(&["a", "b"]), Some("s"), false));
    assert_ne!(print, fingerprint("m", &packages(&["a", "b"]), None, false));
    assert_ne!(print, fingerprint("m", &packages(&["a", "b", "s"]), None, false));
}

#[test]
fn a_key_may_be_quoted_or_bare() {
    assert_eq!(parse_key(b"\"abc\""), Ok("abc".into()));
    assert_eq!(parse_key(b"abc"), Ok("abc".into()));
    assert_eq!(parse_key(br#""a\"b\\c""#), Ok(r#"a"b\c"#.into()));
    assert_eq!(parse_key(&[b'x'; 64]).map(|k| k.len()), Ok(64));
    for bad in [
        &b""[..],
        b"\"\"",
        b"a b",
        b"\"a\"b\"",
        br#""a\n""#,
        br#""a\""#,
        "ä".as_bytes(),
        b"a\x7f",
        &[b'x'; 65],
    ] {
        assert!(parse_key(bad).is_err(), "{bad:?}");
    }
}
