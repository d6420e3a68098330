//! Takes back what the ledger has lost after a fork.

use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::change::{Change, DIGEST_CHARS, position_of};
use crate::webhook::event;
use crate::webhook::outbox::{Outbox, OutboxError, check_fence, insert, restart, signed};

impl Outbox {
    /// The index of the last of these changes that is in the outbox, delivered or not: known by position and digest, as by
    /// its id. What comes after it has ids that were never sent.
    pub fn last_known(&self, changes: &[Change]) -> Result<Option<usize>, OutboxError> {
        let mut find = self.connection.prepare_cached(
            "SELECT 1 FROM webhooks WHERE sequence = ? AND place = ?
                AND substr(cursor, instr(cursor, '~') + 1, ?) = ?",
        )?;
        for (index, change) in changes.iter().enumerate().rev() {
            let (sequence, place) = (signed(change.sequence), signed(change.place));
            if find.exists(params![sequence, place, DIGEST_CHARS as i64, change.digest()])? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Takes back what came after this cursor: what may have been sent gets a webhook `rescinded`, newest first; the
    /// rest is dropped. Returns how many may have been sent. `now` is the time in these webhooks.
    pub fn rescind(&mut self, common: &str, fence: u64, now: Timestamp) -> Result<u64, OutboxError> {
        let (sequence, place) = position_of(common)?;
        if !self.keeps_all_after(sequence, place)? {
            tracing::error!(
                "the ledger may have lost more than the {} delivered changes that are kept: only those are rescinded; \
                 take back in the receiver what else came after {common}",
                self.delivered
            );
        }
        let transaction = self.connection.transaction()?;
        check_fence(&transaction, fence)?;
        let lost = lost(&transaction, sequence, place)?;
        let (mut queues, at) = (HashSet::new(), now.to_string());
        let mut rescinded = 0;
        for row in lost {
            transaction.prepare_cached("DELETE FROM webhooks WHERE position = ?")?.execute([row.position])?;
            if let Some(body) = row.body {
                let (id, body) = event::rescinded(&row.id, &body, now);
                insert(&transaction, &id, &body, None, &row.reservation, &at)?;
                rescinded += 1;
            }
            queues.insert(row.reservation);
        }
        for reservation in queues {
            // The first webhook of the queue is another one now: it begins afresh.
            restart(&transaction, &reservation)?;
        }
        transaction.execute("UPDATE progress SET cursor = ?, fence = ?", params![common, signed(fence)])?;
        transaction.commit()?;
        self.count()?;
        Ok(rescinded)
    }

    /// Whether no delivered change after this place was dropped: as far as what is kept shows.
    pub(super) fn keeps_all_after(&self, sequence: u64, place: u64) -> Result<bool, OutboxError> {
        let sql = "SELECT 1 FROM webhooks WHERE delivered = 1 AND (sequence, place) <= (?, ?)";
        Ok(self.delivered < self.delivered_kept
            || self.connection.prepare_cached(sql)?.exists(params![signed(sequence), signed(place)])?)
    }
}

/// A change that the ledger does not have any more.
struct Lost {
    position: i64,
    id: String,
    reservation: String,
    /// Of one that may have been sent: it was delivered, or is the first of its queue.
    body: Option<String>,
}

/// What came after this place in the feed, the newest first.
fn lost(transaction: &Transaction<'_>, sequence: u64, place: u64) -> rusqlite::Result<Vec<Lost>> {
    let mut select = transaction.prepare(
        "SELECT position, id, webhooks.reservation, iif(delivered = 1 OR head = position, body, NULL)
        FROM webhooks LEFT JOIN queues USING (reservation)
        WHERE (sequence, place) > (?, ?) ORDER BY position DESC",
    )?;
    let rows = select.query_map(params![signed(sequence), signed(place)], |row| {
        Ok(Lost { position: row.get(0)?, id: row.get(1)?, reservation: row.get(2)?, body: row.get(3)? })
    })?;
    rows.collect()
}
