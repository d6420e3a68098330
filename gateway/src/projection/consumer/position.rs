//! Where the consumer is in a journal, told so that it is noticed when the journal went back and on in another way.

use std::hash::{DefaultHasher, Hash, Hasher};

use redis::Value;
use redis::aio::ConnectionLike;

use crate::store::journal::{self, Entry};
use crate::store::keys::Keys;
use crate::store::reply::text;

/// A journal's entry that was read: which one, and a hash of all that it says.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    digest: u64,
}

impl Position {
    /// An entry that nobody has looked at.
    pub(crate) fn at(sequence: u64) -> Self {
        Self { sequence, digest: 0 }
    }

    pub(crate) fn of(sequence: u64, entry: &Value) -> Self {
        let mut hasher = DefaultHasher::new();
        hash(entry, &mut hasher);
        Self { sequence, digest: hasher.finish() }
    }
}

/// Hashes an entry as it came: lists of lists of texts.
fn hash(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Array(values) => {
            values.len().hash(hasher);
            values.iter().for_each(|value| hash(value, hasher));
        }
        Value::BulkString(bytes) => bytes.hash(hasher),
        other => text(other).unwrap_or_default().hash(hasher),
    }
}

/// The entry of this sequence, if it is there.
pub(crate) async fn entry_at(
    conn: &mut impl ConnectionLike,
    keys: &Keys,
    sequence: u64,
) -> redis::RedisResult<Option<Position>> {
    let found = journal::after(conn, keys, sequence.saturating_sub(1), 1).await?;
    let entry = found.first().filter(|value| Entry::parse(value).is_some_and(|e| e.sequence == sequence));
    Ok(entry.map(|value| Position::of(sequence, value)))
}
