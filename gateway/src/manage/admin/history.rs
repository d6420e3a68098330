//! Reads one buyer's changes from the journal, from the latest backwards.

use std::collections::BTreeMap;

use redis::aio::ConnectionLike;
use serde_json::Value;

use crate::domain::catalogue::Catalogue;
use crate::domain::reservation::Reservation;
use crate::store::journal::{self, Entry, Trail};
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

/// The most entries of one buyer: the latest ones. A buyer's own changes make at most a tenth of
/// it.
const ENTRIES_MAX: usize = 5_000;
/// Entries in one read when the chain of changes is broken.
const PAGE: usize = 500;

/// Where a buyer's changes are.
pub(crate) struct JournalSearch<'a> {
    pub(crate) keys: &'a Keys,
    /// It has the prices.
    pub(crate) catalogue: &'a Catalogue,
    /// The common prefix of the buyer's ids.
    pub(crate) buyer_part: &'a str,
}

/// Entries by their sequence, each with the lines of this buyer.
type Found = BTreeMap<u64, Vec<Value>>;

impl JournalSearch<'_> {
    /// The journal's lines about these reservations, in order. A row names its latest change and
    /// the one before, and so does the journal's line of each change.
    pub(crate) async fn read(
        &self,
        conn: &mut impl ConnectionLike,
        reservations: &[Reservation],
    ) -> Result<Vec<Value>, Failure> {
        let mut found = Found::new();
        let mut due: Vec<u64> = reservations.iter().flat_map(|r| r.changes.iter().copied()).collect();
        due.sort_unstable();
        while let Some(sequence) = due.pop().filter(|_| found.len() < ENTRIES_MAX) {
            if found.contains_key(&sequence) {
                continue;
            }
            let values = journal::after(conn, self.keys, sequence.saturating_sub(1), 1).await?;
            let before = match values.first() {
                Some(value) => self.take(value, |entry| entry.sequence == sequence, &mut found)?,
                None => Vec::new(),
            };
            if found.get(&sequence).is_none_or(Vec::is_empty) {
                // A failover lost this change, and with it the references to earlier ones.
                self.read_until(conn, sequence, &mut found).await?;
                break;
            }
            due.extend(before);
            due.sort_unstable();
        }
        Ok(found.into_values().flatten().collect())
    }

    /// The latest line about this buyer in an entry.
    pub(crate) async fn line_at(
        &self,
        conn: &mut impl ConnectionLike,
        sequence: u64,
        sub: &str,
    ) -> Result<Option<Value>, Failure> {
        let values = journal::after(conn, self.keys, sequence.saturating_sub(1), 1).await?;
        let Some(value) = values.first() else { return Ok(None) };
        let unreadable = || journal::unreadable(self.keys, value);
        let entry = Entry::parse(value).filter(|entry| entry.sequence == sequence).ok_or_else(unreadable)?;
        let lines = entry.lines(self.catalogue, &mut Trail::default()).ok_or_else(unreadable)?;
        Ok(lines.into_iter().map(|(_, line)| line).rfind(|line| line["buyer"] == sub))
    }

    /// Reads all entries before a sequence.
    async fn read_until(
        &self,
        conn: &mut impl ConnectionLike,
        sequence: u64,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let mut at = 0;
        while at < sequence {
            let values = journal::after(conn, self.keys, at, PAGE).await?;
            let Some(last) = values.last().and_then(journal::sequence_of) else { return Ok(()) };
            for value in &values {
                self.take(value, |entry| entry.sequence < sequence, found)?;
            }
            while found.len() > ENTRIES_MAX {
                found.pop_first();
            }
            at = last;
        }
        Ok(())
    }

    /// Collects the lines of this buyer; returns the changes that they name.
    fn take(
        &self,
        value: &redis::Value,
        is_wanted: impl Fn(&Entry) -> bool,
        found: &mut Found,
    ) -> Result<Vec<u64>, Failure> {
        let unreadable = || journal::unreadable(self.keys, value);
        let entry = Entry::parse(value).ok_or_else(unreadable)?;
        if !is_wanted(&entry) {
            return Ok(Vec::new());
        }
        let is_his = |id: &str| id.starts_with(self.buyer_part);
        let reservations = entry.reservations().ok_or_else(unreadable)?;
        let named = reservations.iter().filter(|r| is_his(&r.id)).flat_map(|r| r.changes.iter().copied());
        let before = named.filter(|change| *change < entry.sequence).collect();
        // A few entries of many: their cursors name no older ones.
        let lines = entry.lines(self.catalogue, &mut Trail::default()).ok_or_else(unreadable)?;
        let lines: Vec<Value> = lines
            .into_iter()
            .map(|(_, line)| line)
            .filter(|line| line["reservation"].as_str().is_some_and(is_his))
            .collect();
        if !lines.is_empty() {
            found.insert(entry.sequence, lines);
        }
        Ok(before)
    }
}
