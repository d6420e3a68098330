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
mod tests;
