//! Checks that an accepted idempotency key has 1 to 64 visible ASCII characters, and is the same
//! quoted (RFC 8941, 3.3.3) and bare.

use gateway::domain::identity::{is_reservation_id, parse_key, reservation_id};

pub(super) fn run(bytes: &[u8]) {
    let Ok(key) = parse_key(bytes) else {
        return;
    };
    assert!((1..=64).contains(&key.len()), "{key:?}");
    assert!(key.bytes().all(|b| b.is_ascii_graphic()), "{key:?}");
    let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
    assert_eq!(parse_key(quoted.as_bytes()).as_deref(), Ok(&*key));
    assert_eq!(parse_key(format!("  {quoted}\t").as_bytes()).as_deref(), Ok(&*key));
    // A bare key is itself, unless it looks like a quoted one.
    if !(key.len() >= 2 && key.starts_with('"') && key.ends_with('"')) {
        assert_eq!(parse_key(key.as_bytes()).as_deref(), Ok(&*key));
    }
    assert!(is_reservation_id(&reservation_id("sale", "alice", &key)));
}
