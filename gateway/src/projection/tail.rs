//! The latest changes of a sale for observability: every operator action, and buyers' changes in
//! each second.

use std::collections::VecDeque;

use redis::Value;
use redis::aio::ConnectionLike;

use crate::store::journal::Entry;
use crate::store::keys::Keys;
use crate::store::reply::list;

/// The most actions, and seconds, that are kept.
const KEPT: usize = 16;
/// Entries that are read of a journal at the start: some seconds of a launch, which Redis may lose.
const READ: usize = 500;

/// Buyers' changes in one second of Redis's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// The start of the second, in ms.
    pub at: i64,
    /// Sequence of its latest change.
    pub sequence: u64,
    /// New reservations.
    pub reserved: u64,
    /// Amended reservations.
    pub amended: u64,
    /// Confirmed reservations.
    pub confirmed: u64,
    /// Cancelled by buyer or service.
    pub cancelled: u64,
    /// Ended by their deadline.
    pub expired: u64,
}

/// A definition, a restock, an operator action, or an adopted epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Time in ms.
    pub at: i64,
    /// Sequence of the change.
    pub sequence: u64,
    /// Kind in the journal: `define`, `restock`, `pause` and so on.
    pub kind: String,
    /// Name of the operator or gateway.
    pub who: String,
    /// The operator's reason.
    pub reason: Option<String>,
    /// The item of a restock.
    pub item: Option<String>,
    /// The item's new total.
    pub total: Option<i64>,
    /// The item's previous total.
    pub was: Option<i64>,
    /// New revision of the definition.
    pub revision: Option<u64>,
    /// Changes that were replayed before the epoch was adopted.
    pub replayed: Option<u64>,
}

/// The end of a journal: the latest seconds and actions, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    seconds: VecDeque<Second>,
    acts: VecDeque<Act>,
    sequence: u64,
}

impl Tail {
    /// The latest seconds with changes of buyers.
    pub fn seconds(&self) -> impl DoubleEndedIterator<Item = &Second> {
        self.seconds.iter()
    }

    /// The latest actions.
    pub fn acts(&self) -> impl DoubleEndedIterator<Item = &Act> {
        self.acts.iter()
    }

    /// Adds an entry, unless it was added before.
    pub(crate) fn note(&mut self, entry: &Entry) {
        if entry.sequence <= self.sequence {
            return;
        }
        self.sequence = entry.sequence;
        let at = entry.at - entry.at.rem_euclid(1000);
        let before = self.seconds.back().filter(|last| last.at == at).copied();
        let mut second = Second { at, sequence: entry.sequence, ..before.unwrap_or_default() };
        // Entries about buyers list the reservations: winners in a column, others one on each line.
        let lines = || entry.fields.get("data").map_or(0, |data| data.lines().count()) as u64;
        match entry.kind.as_str() {
            "reserve" => second.reserved += entry.buyers().count() as u64,
            "amend" => second.amended += lines(),
            "confirm" => second.confirmed += lines(),
            "cancel" => second.cancelled += lines(),
            "expire" => second.expired += lines(),
            _ => return push(&mut self.acts, act(entry)),
        }
        if before.is_some() {
            self.seconds.pop_back();
        }
        push(&mut self.seconds, second);
    }
}

fn act(entry: &Entry) -> Act {
    let text = |name: &str| entry.fields.get(name).cloned();
    let number = |name: &str| entry.fields.get(name).and_then(|n| n.parse().ok());
    Act {
        at: entry.at,
        sequence: entry.sequence,
        kind: entry.kind.clone(),
        who: text("who").unwrap_or_default(),
        // A lone hyphen means "no reason" (`check_reason`).
        reason: text("reason").filter(|reason| reason != "-"),
        item: text("item"),
        total: number("total"),
        was: number("was"),
        revision: number("revision").map(i64::unsigned_abs),
        replayed: number("replayed").map(i64::unsigned_abs),
    }
}

fn push<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() == KEPT {
        queue.pop_front();
    }
    queue.push_back(value);
}

/// Reads the end of a journal from Redis, up to a sequence; returns its entries as well.
pub(crate) async fn read(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    until: u64,
) -> redis::RedisResult<(Tail, Vec<Value>)> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(keys.journal()).arg(format!("{until}-0")).arg("-").arg("COUNT").arg(READ);
    let mut found = list("XREVRANGE", command.query_async(conn).await?)?;
    let mut tail = Tail::default();
    // The consumer and the audit report unreadable entries.
    found.reverse();
    found.iter().filter_map(Entry::parse).for_each(|entry| tail.note(&entry));
    Ok((tail, found))
}

#[cfg(test)]
mod tests;
