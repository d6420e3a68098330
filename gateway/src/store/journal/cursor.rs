//! A position in a journal that identifies the history before it, not only the number of an entry.
//!
//! Text: `<sequence>-0/<place>~<digests>`. The digests are base64url: 48 bits of the entry, then 32 bits of each older
//! entry of its *locator*. The positions of a locator depend on the sequence alone: for each level k in 0, 2, … 10 the last
//! multiple of 2^k and the one before, and the last four multiples of 2^12. So a reader's cursor is enough to find the last
//! entry that it and a ledger have in common: at most 8 times as far back as the fork, if at most the newest 12,288 entries
//! are lost. A page of lines needs no other entries than its own.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The levels of a locator, steps of 1, 4, 16, … 4,096 entries, each with the number of its positions. Those of the last
/// level reach 3 to 4 of its steps back.
const LEVELS: [(u32, u64); 7] = [(0, 2), (2, 2), (4, 2), (6, 2), (8, 2), (10, 2), (12, 4)];
/// The most positions of a locator: two of each level and two more of the last, without the entry itself.
const POSITIONS_MAX: usize = 2 * LEVELS.len() + 2 - 1;
/// Bytes of the entry's digest.
const DIGEST_BYTES: usize = 6;
/// In the place of an entry that nobody has read.
const UNKNOWN: u32 = 0;

/// A position in the journal: after this change of this entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Sequence of the entry.
    pub sequence: u64,
    /// Number of the change in the entry, from 1; `usize::MAX`: after all of them.
    pub change: usize,
    history: Option<History>,
}

/// Digests of an entry and of older ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct History {
    /// 48 bits.
    digest: u64,
    /// In the order of [`positions`].
    locator: [u32; POSITIONS_MAX],
}

/// The positions of the locator of this sequence, the latest first.
pub(super) fn positions(sequence: u64) -> Vec<u64> {
    let of_level = |(level, count): (u32, u64)| {
        let step = 1_u64 << level;
        let last = sequence / step * step;
        (0..count).map(move |n| last.saturating_sub(n * step))
    };
    let mut all: Vec<u64> = LEVELS.into_iter().flat_map(of_level).collect();
    all.retain(|position| (1..sequence).contains(position));
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    all
}

/// The digest of an entry as a locator has it.
fn short(digest: u64) -> u32 {
    u32::try_from(digest >> 32).unwrap_or_default().max(1)
}

impl Cursor {
    /// Before the first change.
    pub const START: Self = Self { sequence: 0, change: usize::MAX, history: None };

    /// Parses `4711-0/3~…`, a cursor of a line. A bare `4711-0` (after all of that entry) or `4711-0/3` (after its third
    /// change) names no history; `0-0` is the start of any.
    ///
    /// ```
    /// use gateway::store::journal::Cursor;
    /// let third = Cursor::parse("4711-0/3")?;
    /// assert!(Cursor::parse("4711-0")?.is_after(&third));
    /// assert!(!third.has_history() && Cursor::parse("0-0")?.has_history());
    /// # Ok::<(), String>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).ok_or_else(|| {
            format!(
                "{text:?} is not a valid cursor: expected the `cursor` of a line of the journal, unchanged, or 0-0 for \
                 its start"
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (place, digests) = text.split_once('~').map_or((text, None), |(place, rest)| (place, Some(rest)));
        let (id, change) = place.split_once('/').map_or((place, None), |(id, change)| (id, Some(change)));
        let sequence = number(id.strip_suffix("-0")?)?;
        let change = change.map_or(Some(usize::MAX), |change| {
            usize::try_from(number(change)?).ok().filter(|change| *change < usize::MAX)
        })?;
        if sequence == 0 {
            return (digests.is_none() && change == usize::MAX).then_some(Self::START);
        }
        let history = digests.map(|digests| History::parse(digests, sequence).ok_or(())).transpose().ok()?;
        Some(Self { sequence, change, history })
    }

    /// After this change of the same entry.
    pub(super) fn after_change(self, change: usize) -> Self {
        Self { change, ..self }
    }

    /// Whether it is after the given one.
    pub fn is_after(&self, other: &Self) -> bool {
        (self.sequence, self.change) > (other.sequence, other.change)
    }

    /// Whether it names the history that it belongs to. Only then can a reader continue from it without missing a change.
    pub fn has_history(&self) -> bool {
        self.sequence == 0 || self.history.is_some()
    }

    /// Whether this may be the entry at the cursor's sequence.
    pub(super) fn is_at(&self, digest: u64) -> bool {
        self.history.is_none_or(|history| history.digest == digest >> 16)
    }

    /// The older entries that it names.
    pub(super) fn locator(&self) -> impl Iterator<Item = (u64, EntryMark)> {
        let named = self.history.map(|history| positions(self.sequence).into_iter().zip(history.locator));
        named.into_iter().flatten().filter(|(_, short)| *short != UNKNOWN).map(|(at, s)| (at, EntryMark(s)))
    }
}

/// The short digest of an older entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryMark(u32);

impl EntryMark {
    pub(super) fn of(digest: u64) -> Self {
        Self(short(digest))
    }
}

fn number(text: &str) -> Option<u64> {
    let is_plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    is_plain.then(|| text.parse().ok()).flatten()
}

impl History {
    fn parse(text: &str, sequence: u64) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (digest, rest) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
        let (shorts, rest) = rest.as_chunks::<4>();
        if !rest.is_empty() || shorts.len() != positions(sequence).len() {
            return None;
        }
        let digest = digest.iter().fold(0, |digest, byte| digest << 8 | u64::from(*byte));
        let mut locator = [UNKNOWN; POSITIONS_MAX];
        for (place, short) in locator.iter_mut().zip(shorts) {
            *place = u32::from_be_bytes(*short);
        }
        Some(Self { digest, locator })
    }

    fn text(&self, sequence: u64) -> String {
        let mut bytes = self.digest.to_be_bytes()[8 - DIGEST_BYTES..].to_vec();
        let locator = &self.locator[..positions(sequence).len()];
        bytes.extend(locator.iter().flat_map(|short| short.to_be_bytes()));
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-0", self.sequence)?;
        if self.change < usize::MAX {
            write!(f, "/{}", self.change)?;
        }
        match &self.history {
            Some(history) => write!(f, "~{}", history.text(self.sequence)),
            None => Ok(()),
        }
    }
}

/// The entries that a reader knows: those of its cursor, and those that it has read since.
#[derive(Debug, Default)]
pub struct Trail(HashMap<u64, u32>);

impl Trail {
    /// What a cursor names.
    pub fn of(cursor: &Cursor) -> Self {
        let own = cursor.history.map(|history| (cursor.sequence, short(history.digest << 16)));
        Self(cursor.locator().map(|(at, mark)| (at, mark.0)).chain(own).collect())
    }

    /// Adds an entry.
    pub(super) fn note(&mut self, sequence: u64, digest: u64) {
        self.0.insert(sequence, short(digest));
    }

    /// The cursor before the first change of an entry, which names this history.
    pub(super) fn cursor_at(&self, sequence: u64, digest: u64) -> Cursor {
        let mut locator = [UNKNOWN; POSITIONS_MAX];
        for (place, position) in locator.iter_mut().zip(positions(sequence)) {
            *place = self.0.get(&position).copied().unwrap_or(UNKNOWN);
        }
        Cursor { sequence, change: 0, history: Some(History { digest: digest >> 16, locator }) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
