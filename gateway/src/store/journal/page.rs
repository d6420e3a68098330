//! Reads a page of the journal after a cursor, and finds where the history of a cursor has forked from the ledger's.

use redis::Value;
use redis::aio::ConnectionLike;

use crate::store::journal::cursor::{EntryMark, positions};
use crate::store::journal::{Cursor, Entry, Trail, sequence_of, unreadable};
use crate::store::keys::Keys;
use crate::store::reply::{list, text};
use crate::store::scripts::{Failure, Refusal};

/// The ledger as it was when a page was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerHead {
    /// The epoch in the sale's state.
    pub epoch: String,
    /// The sale's incarnation; empty in the first format.
    pub incarnation: String,
    /// The latest change.
    pub sequence: u64,
    /// The revision of the definition.
    pub revision: u64,
}

/// Raw entries after a cursor.
#[derive(Debug)]
pub(crate) struct RawPage {
    pub(crate) head: LedgerHead,
    /// Whether the connected Redis has another epoch: recovery has yet to replay what is missing.
    pub(crate) is_fenced: bool,
    entries: Vec<Value>,
}

/// Reads up to `count` entries from that of the cursor on, with the ledger's head. One write, and the head twice: so all
/// of it is of one life of the sale.
pub(crate) async fn read_page(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    cursor: &Cursor,
    count: usize,
) -> Result<RawPage, Failure> {
    let mut reads = redis::pipe();
    let head = |reads: &mut redis::Pipeline| {
        reads.cmd("HMGET").arg(keys.state()).arg(&["epoch", "incarnation", "sequence", "revision"]);
    };
    reads.cmd("INFO").arg("server");
    head(&mut reads);
    // The entry at the cursor is read again, to compare it.
    let (from, count) = (format!("({}", cursor.sequence.saturating_sub(1)), count.saturating_add(1));
    reads.cmd("XRANGE").arg(keys.journal()).arg(from).arg("+").arg("COUNT").arg(count);
    head(&mut reads);
    let answers = conn.req_packed_commands(&reads, 0, 4).await?;
    let answers = answers.into_iter().map(Value::extract_error).collect::<Result<Vec<_>, _>>()?;
    let Ok([info, before, entries, after]) = <[Value; 4]>::try_from(answers) else {
        return Err(Failure::unreadable("a page of the journal that can't be read"));
    };
    let (head, after) = (LedgerHead::parse(keys, &before)?, LedgerHead::parse(keys, &after)?);
    if (&head.epoch, &head.incarnation) != (&after.epoch, &after.incarnation) {
        return Err(Failure::NotDone("the sale was replaced while its journal was read: try again".into()));
    }
    let run_id = text(&info).unwrap_or_default();
    let run_id = run_id.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim();
    Ok(RawPage { is_fenced: head.epoch != run_id, head, entries: list("XRANGE", entries)? })
}

impl LedgerHead {
    fn parse(keys: &Keys, reply: &Value) -> Result<Self, Failure> {
        let Value::Array(values) = reply else {
            return Err(Failure::unreadable("a state that can't be read"));
        };
        let [epoch, incarnation, sequence, revision] = &values[..] else {
            return Err(Failure::unreadable("a state that can't be read"));
        };
        if values.iter().all(|value| *value == Value::Nil) {
            return Err(Refusal::Missing.into());
        }
        let number = |value, name| {
            let number = text(value).and_then(|text| text.parse().ok());
            number.ok_or_else(|| Refusal::Damaged(format!("{} has no number in {name}", keys.state())))
        };
        Ok(Self {
            epoch: text(epoch).unwrap_or_default(),
            incarnation: text(incarnation).unwrap_or_default(),
            sequence: number(sequence, "sequence")?,
            revision: number(revision, "revision")?,
        })
    }
}

impl RawPage {
    /// Whether the ledger's history does not have the cursor's entry.
    pub(crate) fn is_forked_from(&self, cursor: &Cursor) -> bool {
        if cursor.sequence == 0 || !cursor.has_history() {
            return false;
        }
        let there = self.entries.first().filter(|entry| sequence_of(entry) == Some(cursor.sequence));
        // The caller reports an entry that can't be parsed.
        !there.is_some_and(|entry| Entry::parse(entry).is_none_or(|entry| cursor.is_at(entry.digest)))
    }

    /// The entries up to the head, with the cursor's own.
    ///
    /// # Errors
    ///
    /// [`Refusal::Damaged`] if the next entry is unreadable: entries before it are returned first, and none is skipped.
    pub(crate) fn parse(&self, keys: &Keys, cursor: &Cursor) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        for value in &self.entries {
            match Entry::parse(value) {
                Some(entry) if entry.sequence > self.head.sequence => break,
                Some(entry) => entries.push(entry),
                None if entries.iter().any(|entry: &Entry| entry.sequence > cursor.sequence) => break,
                None => return Err(unreadable(keys, value)),
            }
        }
        Ok(entries)
    }
}

/// The last cursor that a forked one and the ledger have in common, at most 8 times as far before it as the fork; the start
/// if there is none.
pub(crate) async fn last_common(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    cursor: &Cursor,
) -> Result<Cursor, Failure> {
    let named: Vec<(u64, EntryMark)> = cursor.locator().collect();
    let there = entries_at(conn, keys, named.iter().map(|(at, _)| *at)).await?;
    let common =
        there.into_iter().find(|entry| named.contains(&(entry.sequence, EntryMark::of(entry.digest))));
    let Some(common) = common else { return Ok(Cursor::START) };
    let mut trail = Trail::default();
    for entry in entries_at(conn, keys, positions(common.sequence)).await? {
        trail.note(entry.sequence, entry.digest);
    }
    Ok(trail.cursor_at(common.sequence, common.digest).after_change(common.changes()))
}

/// Those of these entries that exist, in the given order.
async fn entries_at(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    positions: impl IntoIterator<Item = u64>,
) -> Result<Vec<Entry>, Failure> {
    let mut reads = redis::pipe();
    for at in positions {
        reads.cmd("XRANGE").arg(keys.journal()).arg(format!("{at}-0")).arg(format!("{at}-0"));
    }
    if reads.is_empty() {
        return Ok(Vec::new());
    }
    let answers = conn.req_packed_commands(&reads, 0, reads.len()).await?;
    let mut entries = Vec::new();
    for answer in answers {
        entries.extend(list("XRANGE", answer.extract_error()?)?.iter().filter_map(Entry::parse));
    }
    Ok(entries)
}
