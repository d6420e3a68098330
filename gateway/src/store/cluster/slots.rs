//! Parses `CLUSTER SLOTS`: the slots and the address of each master.

use redis::Value;

use crate::store::keys::SLOTS;
use crate::store::reply::{pairs, text};

/// The slots of one master.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) slots: std::ops::Range<usize>,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Id of the node.
    pub(crate) id: String,
}

/// The endpoint of a node without the host name that it should announce.
pub(crate) const UNKNOWN: &str = "?";

/// Parses a reply to `CLUSTER SLOTS`: first slot, last slot, master and replicas of each range. A
/// node without its own endpoint (nil or empty) is at the queried host; one without its host name
/// is at the address in its metadata, if any.
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
mod tests;
