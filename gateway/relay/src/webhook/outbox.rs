//! Keeps what is not delivered yet, how far the feed was read, and what was delivered last, in one SQLite file.

mod error;
mod folder;
mod fork;
mod parked;

use std::path::Path;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::change::{Change, Page};
use crate::failure::Failure;
use crate::webhook::event;
pub use error::OutboxError;
pub use folder::{Outbox, SharedOutbox};
pub use parked::Parked;

/// More than this is not stored: the changes wait in the ledger's journal, which is never trimmed.
const WAITING_MAX: u64 = 1_000_000;
/// So many delivered changes are kept at least, to take them back after a fork.
const DELIVERED_KEPT: u64 = 100_000;
/// So many are dropped at once.
const TRIM: u64 = 1000;

/// A webhook that may be sent now: the first one of its reservation that is not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its place in the outbox, never used twice.
    pub position: i64,
    /// The `webhook-id`.
    pub id: String,
    /// What it is in order with: the reservation's id, or nothing for changes of the sale.
    pub reservation: String,
    /// The body to send.
    pub body: String,
    /// Attempts that failed.
    pub attempts: u32,
    /// It takes another one back.
    pub takes_back: bool,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx.
    Delivered,
    /// Anything else, with the time of the next attempt; without one it is a dead letter.
    Failed {
        /// What an operator reads.
        error: String,
        /// In ms since the epoch.
        next: Option<i64>,
    },
}

/// How much is in the outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Webhooks that are not delivered.
    pub waiting: u64,
    /// Reservations whose first webhook failed, dead letters included.
    pub parked: u64,
    /// Webhooks that failed for good.
    pub dead: u64,
    /// Webhooks that wait for an operator: dead letters and what is behind them.
    pub stuck: u64,
    /// When the oldest change happened that waits and is not parked.
    pub oldest: Option<String>,
}

impl Outbox {
    /// The cursor of the last page.
    pub fn cursor(&self) -> Result<Option<String>, OutboxError> {
        Ok(self.connection.query_row("SELECT cursor FROM progress", (), |row| row.get(0))?)
    }

    /// Stores a page and its cursor.
    pub fn store(&mut self, page: &Page, fence: u64) -> Result<(), OutboxError> {
        let new = page.changes.len() as u64;
        if self.waiting + new > self.waiting_max && new > 0 {
            return Err(OutboxError::Full { waiting: self.waiting, max: self.waiting_max });
        }
        let transaction = self.connection.transaction()?;
        check_fence(&transaction, fence)?;
        for change in &page.changes {
            let id = event::id(&self.sale, change);
            insert(&transaction, &id, &event::body(change), Some(change), reservation(change), &change.at)?;
        }
        transaction
            .execute("UPDATE progress SET cursor = ?, fence = ?", params![page.cursor, signed(fence)])?;
        transaction.commit()?;
        self.waiting += new;
        Ok(())
    }

    /// What was never tried, of reservations that have nothing in flight: at most so many, the oldest first from a
    /// place on, which is from 0 (the oldest of all) to 1.
    pub fn fresh(&self, place: f64, in_flight: &[String], max: usize) -> Result<Vec<Due>, OutboxError> {
        let sql = "SELECT coalesce(min(head), 0), coalesce(max(head), 0) FROM queues WHERE attempts = 0";
        let (first, last): (i64, i64) =
            self.connection.prepare_cached(sql)?.query_row((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let from = first + ((last - first) as f64 * place) as i64;
        let mut due = self.due("attempts = 0 AND head >= ?1 ORDER BY head", from, in_flight, max)?;
        if due.len() < max && from > first {
            let before = "attempts = 0 AND head < ?1 ORDER BY head";
            due.append(&mut self.due(before, from, in_flight, max - due.len())?);
        }
        Ok(due)
    }

    /// The same of what failed before and is due: the longest due first.
    pub fn failed(&self, now: i64, in_flight: &[String], max: usize) -> Result<Vec<Due>, OutboxError> {
        self.due("attempts > 0 AND dead = 0 AND due <= ?1 ORDER BY due", now, in_flight, max)
    }

    /// One that may be sent while nothing is in flight: every second time one that has failed, otherwise any other.
    /// `random` is from 0 to 1.
    pub fn probe(&self, now: i64, random: f64) -> Result<Option<Due>, OutboxError> {
        let mut failed = self.failed(now, &[], 1)?;
        let mut fresh = self.fresh((random * 2.0).fract(), &[], 1)?;
        Ok(if random < 0.5 { failed.pop().or(fresh.pop()) } else { fresh.pop().or(failed.pop()) })
    }

    /// `which` has a parameter, the first, and an order.
    fn due(
        &self,
        which: &str,
        parameter: i64,
        in_flight: &[String],
        max: usize,
    ) -> Result<Vec<Due>, OutboxError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let mut select = self.connection.prepare_cached(&format!(
            "SELECT head, id, queues.reservation, body, attempts, cursor IS NULL
            FROM queues JOIN webhooks ON position = head WHERE {which} LIMIT ?2"
        ))?;
        let limit = signed((max + in_flight.len()) as u64);
        let rows = select.query_map(params![parameter, limit], |row| {
            Ok(Due {
                position: row.get(0)?,
                id: row.get(1)?,
                reservation: row.get(2)?,
                body: row.get(3)?,
                attempts: row.get(4)?,
                takes_back: row.get(5)?,
            })
        })?;
        let is_free = |row: &Due| !in_flight.contains(&row.reservation);
        let mut due = rows.collect::<Result<Vec<_>, _>>()?;
        due.retain(is_free);
        due.truncate(max);
        Ok(due)
    }

    /// When the next webhook that failed is due.
    pub fn next_due(&self, now: i64) -> Result<Option<i64>, OutboxError> {
        let sql = "SELECT min(due) FROM queues WHERE attempts > 0 AND dead = 0 AND due > ?";
        Ok(self.connection.prepare_cached(sql)?.query_row([now], |row| row.get(0))?)
    }

    /// Writes down what came of these attempts, all at once. Of what was rescinded meanwhile nothing is kept.
    pub fn record(&mut self, outcomes: &[(Due, Outcome)], now: i64) -> Result<(), OutboxError> {
        let (mut waiting, mut delivered) = (self.waiting, self.delivered);
        let transaction = self.connection.transaction()?;
        for (sent, outcome) in outcomes {
            if head(&transaction, &sent.reservation)? != Some(sent.position) {
                continue;
            }
            match outcome {
                Outcome::Delivered => {
                    waiting -= 1;
                    // What takes a change back is never taken back itself.
                    let kept = transaction
                        .prepare_cached(
                            "UPDATE webhooks SET delivered = 1 WHERE position = ? AND cursor IS NOT NULL",
                        )?
                        .execute([sent.position])?;
                    if kept == 0 {
                        transaction.execute("DELETE FROM webhooks WHERE position = ?", [sent.position])?;
                    }
                    delivered += kept as u64;
                    restart(&transaction, &sent.reservation)?;
                }
                Outcome::Failed { error, next } => {
                    let sql = "UPDATE queues SET attempts = ?, due = ?, dead = ?, error = ?,
                        failing_since = coalesce(failing_since, ?) WHERE reservation = ?";
                    transaction.prepare_cached(sql)?.execute(params![
                        sent.attempts + 1,
                        next.unwrap_or(now),
                        next.is_none(),
                        error,
                        now,
                        sent.reservation
                    ])?;
                }
            }
        }
        if delivered > self.delivered_kept + TRIM {
            let excess = delivered - self.delivered_kept;
            transaction.execute(
                "DELETE FROM webhooks WHERE position IN
                    (SELECT position FROM webhooks WHERE delivered = 1 ORDER BY position LIMIT ?)",
                [signed(excess)],
            )?;
            delivered -= excess;
        }
        transaction.commit()?;
        (self.waiting, self.delivered) = (waiting, delivered);
        Ok(())
    }

    /// A clock that was set back must not hold up a webhook for longer than any schedule does.
    pub fn bound_due(&self, latest: i64) -> Result<(), OutboxError> {
        let sql = "UPDATE queues SET due = ?1 WHERE attempts > 0 AND dead = 0 AND due > ?1";
        self.connection.prepare_cached(sql)?.execute([latest])?;
        Ok(())
    }

    /// How much is in it.
    pub fn counts(&self) -> Result<Counts, OutboxError> {
        let (parked, dead) = self
            .connection
            .prepare_cached("SELECT count(*), coalesce(sum(dead), 0) FROM queues WHERE attempts > 0")?
            .query_row((), |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
        let sql = "SELECT count(*) FROM webhooks WHERE delivered = 0
            AND reservation IN (SELECT reservation FROM queues WHERE attempts > 0 AND dead = 1)";
        let stuck = match dead {
            0 => 0,
            _ => unsigned(self.connection.prepare_cached(sql)?.query_row((), |row| row.get(0))?),
        };
        let sql = "SELECT at FROM webhooks
            WHERE position = (SELECT min(head) FROM queues WHERE attempts = 0)";
        let oldest = self.connection.prepare_cached(sql)?.query_row((), |row| row.get(0)).optional()?;
        Ok(Counts { waiting: self.waiting, parked, dead, stuck, oldest })
    }

    /// Counts what it keeps count of.
    fn count(&mut self) -> Result<(), OutboxError> {
        let sql = "SELECT count(*) FILTER (WHERE delivered = 0), count(*) FILTER (WHERE delivered = 1) FROM webhooks";
        (self.waiting, self.delivered) =
            self.connection.query_row(sql, (), |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
        Ok(())
    }

    /// Opens the outbox of this sale and reader in a folder; one process at a time.
    pub fn open(folder: &Path, sale: &str, reader: &str) -> Result<Self, Failure> {
        folder::open(folder, sale, reader)
    }

    #[cfg(test)]
    fn with_limits(mut self, waiting_max: u64, delivered_kept: u64) -> Self {
        (self.waiting_max, self.delivered_kept) = (waiting_max, delivered_kept);
        self
    }
}

/// Puts a webhook behind all others of its reservation. One without a change takes one back.
fn insert(
    transaction: &Transaction<'_>,
    id: &str,
    body: &str,
    change: Option<&Change>,
    reservation: &str,
    at: &str,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO webhooks (id, reservation, cursor, sequence, place, at, body)
            VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            id,
            reservation,
            change.map(|change| &change.cursor),
            change.map(|change| signed(change.sequence)),
            change.map(|change| signed(change.place)),
            at,
            body
        ])?;
    transaction
        .prepare_cached("INSERT INTO queues (reservation, head) VALUES (?, ?) ON CONFLICT DO NOTHING")?
        .execute(params![reservation, transaction.last_insert_rowid()])?;
    Ok(())
}

/// Begins afresh with the first webhook of a queue that is not delivered; a queue without one is removed.
fn restart(transaction: &Transaction<'_>, reservation: &str) -> rusqlite::Result<()> {
    let first: Option<i64> = transaction
        .prepare_cached("SELECT min(position) FROM webhooks WHERE reservation = ? AND delivered = 0")?
        .query_row([reservation], |row| row.get(0))?;
    match first {
        None => transaction.prepare_cached("DELETE FROM queues WHERE reservation = ?")?.execute([reservation]),
        Some(first) => transaction
            .prepare_cached(
                "UPDATE queues SET head = ?1, attempts = 0, due = 0, dead = 0, error = NULL, failing_since = NULL
                WHERE reservation = ?2 AND head <> ?1",
            )?
            .execute(params![first, reservation]),
    }?;
    Ok(())
}

fn head(transaction: &Transaction<'_>, reservation: &str) -> rusqlite::Result<Option<i64>> {
    let mut select = transaction.prepare_cached("SELECT head FROM queues WHERE reservation = ?")?;
    select.query_row([reservation], |row| row.get(0)).optional()
}

fn check_fence(transaction: &Transaction<'_>, fence: u64) -> Result<(), OutboxError> {
    let stored = transaction.query_row("SELECT fence FROM progress", (), |row| row.get(0))?;
    if fence < unsigned(stored) { Err(OutboxError::Superseded) } else { Ok(()) }
}

/// The queue of a change: changes of the sale have one, too.
fn reservation(change: &Change) -> &str {
    change.reservation.as_deref().unwrap_or_default()
}

/// SQLite's integers are signed.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
