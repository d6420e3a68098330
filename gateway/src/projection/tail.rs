//! The latest changes of a sale in short, for those who watch: every act of ops, and what buyers did in each second.

use std::collections::VecDeque;

use redis::Value;
use redis::aio::ConnectionLike;

use crate::store::journal::Entry;
use crate::store::keys::Keys;
use crate::store::reply::list;

/// Acts, and seconds, that are kept.
const KEPT: usize = 16;
/// Entries that are read of a journal when its sale begins to be followed. Some seconds of a launch: Redis may lose them.
const READ: usize = 500;

/// What buyers did in one second of Redis's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// When it began, in ms.
    pub at: i64,
    /// Of its latest change.
    pub sequence: u64,
    /// New reservations.
    pub reserved: u64,
    /// Changed ones.
    pub amended: u64,
    /// Paid ones.
    pub confirmed: u64,
    /// Ended by buyer or service.
    pub cancelled: u64,
    /// Ended by their deadline.
    pub expired: u64,
}

/// A definition, a restock, an operator action, or a restarted Redis that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// When, in ms.
    pub at: i64,
    /// Its change.
    pub sequence: u64,
    /// As in the journal: `define`, `restock`, `pause` and so on.
    pub kind: String,
    /// Who did it.
    pub who: String,
    /// Why, in his words.
    pub reason: Option<String>,
    /// The item of a restock.
    pub item: Option<String>,
    /// Its total now.
    pub total: Option<i64>,
    /// Its total before.
    pub was: Option<i64>,
    /// Of the definition now.
    pub revision: Option<u64>,
    /// Changes that were appended again before.
    pub replayed: Option<u64>,
}

/// The end of a journal: the latest seconds and acts, the latest last.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    seconds: VecDeque<Second>,
    acts: VecDeque<Act>,
    sequence: u64,
}

impl Tail {
    /// What buyers did, in the latest seconds in which they did anything.
    pub fn seconds(&self) -> impl DoubleEndedIterator<Item = &Second> {
        self.seconds.iter()
    }

    /// The latest acts.
    pub fn acts(&self) -> impl DoubleEndedIterator<Item = &Act> {
        self.acts.iter()
    }

    /// Notes an entry, unless it was noted before.
    pub(crate) fn note(&mut self, entry: &Entry) {
        if entry.sequence <= self.sequence {
            return;
        }
        self.sequence = entry.sequence;
        // An entry of buyers names those that it concerns: winners in a column, others a line each.
        let lines = || entry.fields.get("data").map_or(0, |data| data.lines().count()) as u64;
        let second = match entry.kind.as_str() {
            "reserve" => Second { reserved: entry.buyers().count() as u64, ..Second::default() },
            "amend" => Second { amended: lines(), ..Second::default() },
            "confirm" => Second { confirmed: lines(), ..Second::default() },
            "cancel" => Second { cancelled: lines(), ..Second::default() },
            "expire" => Second { expired: lines(), ..Second::default() },
            _ => return push(&mut self.acts, act(entry)),
        };
        let at = entry.at - entry.at.rem_euclid(1000);
        if self.seconds.back().is_none_or(|last| last.at != at) {
            push(&mut self.seconds, Second { at, ..Second::default() });
        }
        if let Some(last) = self.seconds.back_mut() {
            *last = Second {
                at,
                sequence: entry.sequence,
                reserved: last.reserved + second.reserved,
                amended: last.amended + second.amended,
                confirmed: last.confirmed + second.confirmed,
                cancelled: last.cancelled + second.cancelled,
                expired: last.expired + second.expired,
            };
        }
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
        // No reason is a lone hyphen (`check_reason`), which stands for none.
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

/// The end of a journal as it is in Redis, up to a sequence, and its entries.
pub(crate) async fn read(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    until: u64,
) -> redis::RedisResult<(Tail, Vec<Value>)> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(keys.journal()).arg(format!("{until}-0")).arg("-").arg("COUNT").arg(READ);
    let mut found = list("XREVRANGE", command.query_async(conn).await?)?;
    let mut tail = Tail::default();
    // What can't be read is told by the consumer and the audit.
    found.reverse();
    found.iter().filter_map(Entry::parse).for_each(|entry| tail.note(&entry));
    Ok((tail, found))
}

#[cfg(test)]
mod tests;
