//! Unit tests of `tail.rs`.

use super::*;

fn entry(sequence: u64, at: i64, kind: &str, fields: &[(&str, &str)]) -> Entry {
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let always = [("kind", kind), ("at", &at.to_string()), ("stock", ""), ("counts", "0 0 0 0")]
        .map(|(name, value)| [text(name), text(value)]);
    let fields = fields.iter().map(|(name, value)| [text(name), text(value)]);
    let flat = always.into_iter().chain(fields).flatten().collect();
    Entry::parse(&Value::Array(vec![text(&format!("{sequence}-0")), Value::Array(flat)])).unwrap()
}

#[test]
fn buyers_changes_are_summed_by_second_and_operator_actions_are_kept() {
    let mut tail = Tail::default();
    tail.note(&entry(
        1,
        900,
        "define",
        &[("revision", "1"), ("who", "maja"), ("reason", "-"), ("totals", "m 1")],
    ));
    assert!(tail.note(&entry(2, 1_000, "reserve", &[("buyers", "a b c")])));
    tail.note(&entry(3, 1_999, "confirm", &[("data", "a …")]));
    // Entries come again after a lost connection.
    assert!(!tail.note(&entry(3, 1_999, "confirm", &[("data", "a …")])));
    tail.note(&entry(4, 2_000, "expire", &[("data", "b …\nc …")]));
    tail.note(&entry(5, 2_000, "refuse", &[("data", "b …")]));
    let first = Second { at: 1_000, sequence: 3, reserved: 3, confirmed: 1, ..Second::default() };
    let second = Second { at: 2_000, sequence: 4, expired: 2, ..Second::default() };
    assert_eq!(tail.seconds().copied().collect::<Vec<_>>(), [first, second]);
    let act = tail.acts().next().unwrap();
    let kept = ["who", "revision", "reason", "totals"].map(|name| act.field(name));
    assert_eq!(kept, [Some("maja"), Some("1"), None, None], "totals can be a megabyte");
    for n in 5..5_000 {
        tail.note(&entry(n, i64::try_from(n).unwrap() * 1_000, "reserve", &[("buyers", "a")]));
    }
    assert_eq!((tail.seconds().count(), tail.acts().count()), (KEPT, 1));
}

#[test]
fn operators_are_found_in_their_entries_only() {
    let who = [("who", "cli:maja")];
    for kind in ["define", "restock", "pause", "resume", "freeze", "unfreeze", "close"] {
        assert_eq!(entry(1, 1, kind, &who).operator(), Some("cli:maja"), "{kind}");
    }
    // There it has the buyers' names, which buyers choose.
    for kind in ["reserve", "adopt", "expire"] {
        assert_eq!(entry(1, 1, kind, &who).operator(), None, "{kind}");
    }
}
