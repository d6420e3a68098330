//! Lists and releases what is parked, also while a relay sends from the same outbox.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use crate::failure::Failure;
use crate::webhook::outbox::{Outbox, OutboxError, folder, unsigned};

/// A reservation whose first webhook failed. What came later waits behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parked {
    /// `None`: it is a change of the sale.
    pub reservation: Option<String>,
    /// The `webhook-id` of the first one.
    pub webhook: String,
    /// How many wait, with the first one.
    pub waiting: u64,
    /// How often the first one was sent.
    pub attempts: u32,
    /// When it first failed.
    pub since: Timestamp,
    /// When it is sent again; `None`: never, it is a dead letter.
    pub next_attempt: Option<Timestamp>,
    /// Whether it is a dead letter.
    pub dead: bool,
    /// Why the last attempt failed.
    pub error: String,
}

impl Outbox {
    /// Opens one for a command of an operator.
    pub fn open_beside(folder: &Path) -> Result<Self, Failure> {
        folder::open_beside(folder)
    }

    /// All parked reservations, the one that failed first at the top.
    pub fn parked(&self) -> Result<Vec<Parked>, OutboxError> {
        let mut select = self.connection.prepare(
            "SELECT queues.reservation, id, attempts, failing_since, due, dead, error,
                (SELECT count(*) FROM webhooks w WHERE w.reservation = queues.reservation AND w.delivered = 0)
            FROM queues JOIN webhooks ON position = head WHERE attempts > 0 ORDER BY failing_since, head",
        )?;
        let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default();
        let rows = select.query_map((), |row| {
            let dead: bool = row.get(5)?;
            let due: i64 = row.get(4)?;
            Ok(Parked {
                reservation: Some(row.get(0)?).filter(|reservation: &String| !reservation.is_empty()),
                webhook: row.get(1)?,
                waiting: unsigned(row.get(7)?),
                attempts: row.get(2)?,
                since: time(row.get(3)?),
                next_attempt: (!dead).then(|| time(due)),
                dead,
                error: row.get(6)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> Result<bool, OutboxError> {
        Ok(!self.connection.prepare_cached("SELECT 1 FROM queues")?.exists(())?)
    }

    /// Sends all that is parked again, and resumes after a 410. Returns how many reservations that releases.
    pub fn release_all(&mut self) -> Result<usize, OutboxError> {
        let transaction = self.connection.transaction()?;
        let released = transaction.execute(&format!("{RELEASE} attempts > 0"), ())?;
        transaction.execute("UPDATE progress SET gone_url = NULL", ())?;
        transaction.commit()?;
        Ok(released)
    }

    /// Sends what is parked of this reservation again: `false` if nothing is.
    pub fn release_reservation(&mut self, reservation: &str) -> Result<bool, OutboxError> {
        let sql = format!("{RELEASE} reservation = ? AND attempts > 0");
        Ok(self.connection.execute(&sql, [reservation])? > 0)
    }

    /// Sends the webhook with this id again: `false` if it is not the first one of a parked reservation.
    pub fn release_webhook(&mut self, id: &str) -> Result<bool, OutboxError> {
        let sql = format!("{RELEASE} attempts > 0 AND head IN (SELECT position FROM webhooks WHERE id = ?)");
        Ok(self.connection.execute(&sql, [id])? > 0)
    }

    /// The receiver with this identity answered 410: it wants no more webhooks.
    pub fn note_gone(&self, identity: &str) -> Result<(), OutboxError> {
        self.connection.execute("UPDATE progress SET gone_url = ?", [identity])?;
        Ok(())
    }

    /// Whether this receiver wants no more webhooks. With another URL the relay sends again.
    pub fn is_gone(&self, identity: &str) -> Result<bool, OutboxError> {
        let sql = "SELECT 1 FROM progress WHERE gone_url = ?";
        Ok(self.connection.prepare_cached(sql)?.exists(params![identity])?)
    }

    /// The receiver that wants no more webhooks, without what may be a secret.
    pub fn gone(&self) -> Result<Option<String>, OutboxError> {
        let sql = "SELECT gone_url FROM progress";
        let identity: Option<String> =
            self.connection.query_row(sql, (), |row| row.get(0)).optional()?.flatten();
        Ok(identity.and_then(|identity| Some(identity.split_once(' ')?.0.to_owned())))
    }

    /// Changes when another process has written, as `relay retry` does.
    pub fn foreign_writes(&self) -> Result<i64, OutboxError> {
        Ok(self.connection.pragma_query_value(None, "data_version", |row| row.get(0))?)
    }
}

const RELEASE: &str =
    "UPDATE queues SET attempts = 0, due = 0, dead = 0, error = NULL, failing_since = NULL WHERE";
