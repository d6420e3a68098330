//! A position in a journal, with a digest that detects a journal that went back and diverged.

use redis::aio::ConnectionLike;

use crate::projection::read_model::INCARNATION;
use crate::store::journal::{self, Entry};
use crate::store::keys::Keys;
use crate::store::scripts::Failure;

/// A journal entry that was read: its sequence, and its digest.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    digest: u64,
}

impl Position {
    /// A position whose entry was not read.
    pub(crate) fn at(sequence: u64) -> Self {
        Self { sequence, digest: 0 }
    }

    pub(crate) fn of(entry: &Entry) -> Self {
        Self { sequence: entry.sequence, digest: entry.digest }
    }
}

/// The entry of this sequence, if it exists.
pub(crate) async fn entry_at(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    sequence: u64,
) -> redis::RedisResult<Option<Position>> {
    let found = journal::after(conn, keys, sequence.saturating_sub(1), 1).await?;
    let entry = found.first().and_then(Entry::parse).filter(|entry| entry.sequence == sequence);
    Ok(entry.map(|entry| Position::of(&entry)))
}

/// The sale's incarnation in the ledger; `None` without a sale, or in the first format.
pub(crate) async fn incarnation_in(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
) -> Result<Option<String>, Failure> {
    match redis::cmd("HGET").arg(keys.state()).arg(INCARNATION).query_async(conn).await {
        Err(error) if error.code() == Some("WRONGTYPE") => Ok(None),
        other => Ok(other?),
    }
}
