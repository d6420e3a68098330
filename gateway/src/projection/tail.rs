//! The latest changes of a sale for observability: every operator action, and buyers' changes in
//! each second.

use std::collections::VecDeque;
use std::sync::Arc;

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
    /// Sign-ups, and changes of their choices.
    pub signed_up: u64,
    /// Sign-ups that were withdrawn.
    pub withdrawn: u64,
    /// Places in standby queues, and changes of what their buyers wait for.
    pub joined: u64,
    /// Buyers who left a queue.
    pub left: u64,
    /// Reservations that waiting buyers were granted.
    pub granted: u64,
    /// Waiting buyers who had reached the purchase limit.
    pub skipped: u64,
}

/// The end of a journal: the latest seconds and actions, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    seconds: VecDeque<Second>,
    /// Definitions, restocks, operator actions, and adopted epochs.
    acts: VecDeque<Arc<Entry>>,
    sequence: u64,
}

impl Tail {
    /// The latest seconds with changes of buyers.
    pub fn seconds(&self) -> impl DoubleEndedIterator<Item = &Second> {
        self.seconds.iter()
    }

    /// The latest actions.
    pub fn acts(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.acts.iter().map(Arc::as_ref)
    }

    /// Adds an entry; `false`: it was added before.
    pub(crate) fn note(&mut self, entry: &Entry) -> bool {
        if entry.sequence <= self.sequence {
            return false;
        }
        self.sequence = entry.sequence;
        let at = entry.at - entry.at.rem_euclid(1000);
        let before = self.seconds.back().filter(|last| last.at == at).copied();
        let mut second = Second { at, sequence: entry.sequence, ..before.unwrap_or_default() };
        // Entries about buyers list the reservations: winners in a column, others one on each line.
        let lines_of = |field: &str| entry.fields.get(field).map_or(0, |text| text.lines().count()) as u64;
        let lines = || lines_of("data");
        match entry.kind.as_str() {
            "join" => second.joined += lines_of("places"),
            "leave" => second.left += lines_of("places"),
            "grant" => {
                second.granted += lines();
                second.skipped += entry.skipped().count() as u64;
            }
            "reserve" => second.reserved += entry.buyers().count() as u64,
            "amend" => second.amended += lines(),
            "confirm" => second.confirmed += lines(),
            "cancel" => second.cancelled += lines(),
            "expire" => second.expired += lines(),
            "signup" => second.signed_up += lines_of("signups"),
            "withdraw" => second.withdrawn += lines_of("signups"),
            // The hold had ended before.
            "refuse" => return true,
            // A batch of entrants whom a draw gave nothing.
            "allocate" if entry.field("over").is_none() => return true,
            _ => {
                push(&mut self.acts, Arc::new(entry.without_items()));
                return true;
            }
        }
        if before.is_some() {
            self.seconds.pop_back();
        }
        push(&mut self.seconds, second);
        true
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
    for entry in found.iter().filter_map(Entry::parse) {
        tail.note(&entry);
    }
    Ok((tail, found))
}

/// Logs an operator action that was made in Redis, past every gateway: one over the API is logged by its gateway.
pub(crate) fn log_action_of_cli(sale: &str, entry: &Entry) {
    // The name of an ops token has no colon.
    if let Some(actor) = entry.operator().filter(|who| who.starts_with("cli:")) {
        let [item, was, total, revision, reason] =
            ["item", "was", "total", "revision", "reason"].map(|name| entry.field(name));
        let action = entry.kind.as_str();
        tracing::info!(
            sale,
            actor,
            action,
            item,
            was,
            total,
            revision,
            reason,
            "operator action by the command line"
        );
    }
}

#[cfg(test)]
mod tests;
