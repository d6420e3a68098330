//! Unit tests of `limits_log.rs`.

use super::*;

fn entry(fields: &[&str]) -> Option<LimitsEntry> {
    let bulk = |text: &&str| Value::BulkString(text.as_bytes().to_vec());
    LimitsEntry::parse(&Value::Array(vec![bulk(&"1-0"), Value::Array(fields.iter().map(bulk).collect())]))
}

#[test]
fn an_entry_is_read_whole_or_not_at_all() {
    let good = ["revision", "3", "at", "0", "who", "me", "reason", "-", "changes", "buyer - 1:2 sale off -"];
    let read = entry(&good).unwrap();
    assert_eq!((read.revision, read.at.as_str(), read.who.as_str()), (3, "1970-01-01T00:00:00.000Z", "me"));
    assert_eq!(read.reason, None);
    let changes: Vec<_> =
        read.changes.iter().map(|c| (c.policy.as_str(), c.was.as_deref(), c.set.as_deref())).collect();
    assert_eq!(changes, [("buyer", None, Some("1:2")), ("sale", Some("off"), None)]);
    for (place, bad) in [(1, "x"), (3, "soon"), (9, "buyer -"), (0, "revisions"), (4, "whose"), (8, "change")]
    {
        let mut fields = good;
        fields[place] = bad;
        assert_eq!(entry(&fields), None, "{bad}");
    }
    assert_eq!(LimitsEntry::parse(&Value::Nil), None);
}
