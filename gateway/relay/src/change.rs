//! One change of a sale, as a line of the feed describes it.

use serde::Deserialize;
use serde_json::Value;

use crate::failure::Failure;

/// Where a feed begins.
pub const START: &str = "0-0";

/// A change of the ledger, or the part of it that affects one reservation.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The cursor to go on from after it. The same change of the same history always has the same text.
    pub cursor: String,
    /// The ledger's sequence; it grows by one with each change of the ledger.
    pub sequence: u64,
    /// Its place among the reservations that the change affects, from 1.
    pub place: u64,
    /// Whether the same change of the ledger affects more reservations, which come next.
    pub is_cut: bool,
    /// `define`, `restock`, `reserve`, `amend`, `confirm`, `cancel`, `expire`, an operator action, …
    pub kind: String,
    /// When it happened, RFC 3339.
    pub at: String,
    /// The reservation's id; `None` of a change of the sale.
    pub reservation: Option<String>,
    /// The line as the feed sent it.
    pub line: Value,
}

/// What a sink gets at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The changes that the filters let through, in order; maybe none.
    pub changes: Vec<Change>,
    /// The cursor after all changes of the page, also of those that the filters held back.
    pub cursor: String,
}

/// The members of a line that every change has.
#[derive(Deserialize)]
struct Head {
    cursor: String,
    id: String,
    change: u64,
    changes: Option<u64>,
    kind: String,
    at: String,
    reservation: Option<String>,
}

impl Change {
    /// Parses a line of the feed.
    ///
    /// # Errors
    ///
    /// What is wrong with the line.
    pub fn parse(line: &str) -> Result<Self, String> {
        let line: Value = serde_json::from_str(line).map_err(|error| format!("no JSON: {error}"))?;
        let Head { cursor, id, change, changes, kind, at, reservation } =
            Head::deserialize(&line).map_err(|error| error.to_string())?;
        let sequence = id.strip_suffix("-0").and_then(|id| id.parse().ok());
        let sequence = sequence.ok_or_else(|| format!("{id:?} is not an id such as 4711-0"))?;
        if position(&cursor) != Some((sequence, change)) {
            return Err(format!("the cursor {cursor:?} is not that of {id}, change {change}"));
        }
        if digest(&cursor).is_empty() {
            return Err(format!("the cursor {cursor:?} names no history"));
        }
        let is_cut = changes.is_some_and(|changes| change < changes);
        Ok(Self { cursor, sequence, place: change, is_cut, kind, at, reservation, line })
    }

    /// Its place in the order of all changes.
    pub fn position(&self) -> (u64, u64) {
        (self.sequence, self.place)
    }

    /// Digest of its entry of the journal. Another change at the same position has another one, and so has the same
    /// change if one before it was lost.
    pub fn digest(&self) -> &str {
        digest(&self.cursor)
    }
}

/// So many characters after the `~` of a cursor are the digest of its entry; older entries follow.
pub const DIGEST_CHARS: usize = 8;

fn digest(cursor: &str) -> &str {
    let digests = cursor.split_once('~').map_or("", |(_, digests)| digests);
    digests.split_at_checked(DIGEST_CHARS).map_or(digests, |(digest, _)| digest)
}

/// Beyond every place; a cursor without a place is after all of its entry.
const LAST_PLACE: u64 = i32::MAX as u64;

/// Sequence and place of a cursor: a change after the cursor has a greater pair. `None`: not a valid cursor.
pub fn position(cursor: &str) -> Option<(u64, u64)> {
    let position = cursor.split_once('~').map_or(cursor, |(position, _)| position);
    let (id, place) = match position.split_once('/') {
        Some((id, place)) => (id, place.parse().ok()?),
        None => (position, LAST_PLACE),
    };
    Some((id.strip_suffix("-0")?.parse().ok()?, place))
}

/// The same for a cursor that the gateway or a sink gave.
///
/// # Errors
///
/// The text is not a valid cursor.
pub fn position_of(cursor: &str) -> Result<(u64, u64), Failure> {
    position(cursor).ok_or_else(|| {
        Failure::Outside(format!("{cursor:?} is not a valid cursor: expected one such as 4711-0/3~…, or 0-0"))
    })
}

#[cfg(test)]
mod tests;
