//! Unit tests of `actions.rs`.

use redis::Value;

use super::*;

fn entry(at: i64, kind: &str, who: &str, reason: &str) -> Entry {
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let at = at.to_string();
    let fields =
        [("kind", kind), ("at", &at), ("stock", ""), ("counts", "0 0 0 0"), ("who", who), ("reason", reason)];
    let flat = fields.iter().flat_map(|(name, value)| [text(name), text(value)]).collect();
    Entry::parse(&Value::Array(vec![text("7-0"), Value::Array(flat)])).unwrap()
}

#[test]
fn the_latest_action_of_each_kind_is_kept_while_it_is_in_force() {
    let mut actions = ActionsInForce::default();
    actions.note(&entry(1_000, "pause", "maja", "payment provider is down"));
    actions.note(&entry(2_000, "freeze", "", "-"));
    let paused =
        ActionNote { by: "maja".to_owned(), reason: Some("payment provider is down".to_owned()), at: 1_000 };
    let frozen = ActionNote { by: "an operator".to_owned(), reason: None, at: 2_000 };
    assert_eq!((actions.paused.as_deref(), actions.frozen.as_deref()), (Some(&paused), Some(&frozen)));
    actions.note(&entry(3_000, "resume", "li", "-"));
    assert_eq!((actions.paused.is_none(), actions.frozen.is_some()), (true, true));
    actions.note(&entry(4_000, "unfreeze", "li", "-"));
    assert_eq!(actions, ActionsInForce::default());
    actions.note(&entry(5_000, "close", "maja", "all are delivered"));
    let closed =
        ActionNote { by: "maja".to_owned(), reason: Some("all are delivered".to_owned()), at: 5_000 };
    assert_eq!(actions.closed.as_deref(), Some(&closed));
}
