//! Reads an answer to `CLUSTER SLOTS`: which slots each master has, and where it is reached.

use redis::Value;

use crate::store::keys::SLOTS;
use crate::store::reply::{pairs, text};

/// Slots that one master has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) slots: std::ops::Range<usize>,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Of the node.
    pub(crate) id: String,
}

/// What a node says whose endpoint shall be a host name and that has none.
pub(crate) const UNKNOWN: &str = "?";

/// Reads an answer to `CLUSTER SLOTS`: for each range its first slot and its last one, its master, its replicas. A node that
/// does not know its own endpoint (nil, or empty) is reached at the host that was asked. One without the host name that it should
/// have is reached at the address that it names besides, if it does.
pub(crate) fn ranges(answer: &Value, asked: &str) -> Option<Vec<Range>> {
    let Value::Array(rows) = answer else { return None };
    let range = |row: &Value| {
        let Value::Array(row) = row else { return None };
        let slot = |at: usize| row.get(at).and_then(text)?.parse::<u16>().ok().filter(|slot| *slot < SLOTS);
        let Some(Value::Array(master)) = row.get(2) else { return None };
        let host = match master.first()? {
            Value::Nil => String::new(),
            host => text(host)?,
        };
        let ip = || {
            let more = pairs(master.get(3)?)?;
            more.into_iter().find(|(name, _)| name == "ip").map(|(_, ip)| ip).filter(|ip| !ip.is_empty())
        };
        let host = match host.as_str() {
            "" => asked.to_owned(),
            UNKNOWN => ip().unwrap_or(host),
            _ => host,
        };
        let id = master.get(2).and_then(text)?;
        let port = master.get(1).and_then(text)?.parse().ok()?;
        Some(Range { slots: usize::from(slot(0)?)..usize::from(slot(1)?) + 1, host, port, id })
    };
    rows.iter().map(range).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use super::*;

    #[test]
    fn slots_are_read_whole_or_not_at_all() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let row = |first, last, host: &str, port| {
            Value::Array(vec![
                Value::Int(first),
                Value::Int(last),
                Value::Array(vec![bulk(host), Value::Int(port), bulk("id"), Value::Array(vec![])]),
                Value::Array(vec![bulk("replica"), Value::Int(1), bulk("id")]),
            ])
        };
        let told = Value::Array(vec![row(0, 99, "a", 7001), row(100, 16_383, "", 7002)]);
        let range =
            |slots, host: &str, port| Range { slots, host: host.to_owned(), port, id: "id".to_owned() };
        let read = ranges(&told, "asked").unwrap();
        assert_eq!(read, [range(0..100, "a", 7001), range(100..16_384, "asked", 7002)]);
        let unknown = |endpoint: Value, more: &[&str]| {
            let more = Value::Array(more.iter().map(|text| bulk(text)).collect());
            let master = Value::Array(vec![endpoint, Value::Int(7001), bulk("id"), more]);
            let rows = Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(99), master])]);
            ranges(&rows, "asked").map(|ranges| ranges[0].host.clone())
        };
        assert_eq!(unknown(Value::Nil, &["ip", "10.0.0.1"]).unwrap(), "asked");
        assert_eq!(unknown(bulk("?"), &["ip", "10.0.0.1"]).unwrap(), "10.0.0.1");
        assert_eq!(unknown(bulk("?"), &[]).unwrap(), "?");
        assert_eq!(unknown(Value::Map(vec![]), &[]), None);
        for bad in [Value::Nil, Value::Array(vec![Value::Nil]), Value::Array(vec![row(0, 16_384, "a", 1)])] {
            assert_eq!(ranges(&bad, "asked"), None, "{bad:?}");
        }
        assert_eq!(ranges(&Value::Array(vec![row(0, 1, "a", 70_000)]), "asked"), None);
    }
}
