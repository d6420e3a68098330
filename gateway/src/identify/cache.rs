//! The cache of verified tokens of public keys: a check costs up to 35 µs, a look-up a fraction of one.
//!
//! A table of fixed size with eight slots in a row, so that no request pays for a rehash. All bytes of a
//! token are compared. Entries of older keys never match and are replaced first.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::identify::verify::Verified;

const PLACES: usize = 8;

/// The signature at a token's end is random enough to hash, and shorter than the token.
const HASHED_BYTES_MAX: usize = 32;

/// Tags are separate from their entries: a look-up reads one row of tags, usually one cache line.
pub(super) struct Cache {
    hasher: RandomState,
    /// 0: an empty slot.
    tags: Vec<[u64; PLACES]>,
    rows: Vec<[Option<CacheEntry>; PLACES]>,
    /// Counts look-ups, to find the least recently used entry of a row.
    uses: u64,
}

struct CacheEntry {
    token: Box<[u8]>,
    verified: Verified,
    generation: u64,
    last_use: u64,
}

impl Cache {
    /// A cache for `entries` tokens, rounded down to full rows but at least one; 0 disables it.
    pub(super) fn new(entries: usize) -> Self {
        let rows = if entries == 0 { 0 } else { (entries / PLACES).max(1) };
        Self {
            hasher: RandomState::new(),
            tags: vec![[0; PLACES]; rows],
            rows: (0..rows).map(|_| Default::default()).collect(),
            uses: 0,
        }
    }

    /// The claims verified for exactly this token with the keys of this generation.
    pub(super) fn get(&mut self, token: &[u8], generation: u64) -> Option<&Verified> {
        let (row, tag) = self.place_of(token)?;
        self.uses += 1;
        let place = (0..PLACES).find(|&place| {
            self.tags[row][place] == tag
                && self.rows[row][place]
                    .as_ref()
                    .is_some_and(|entry| entry.generation == generation && *entry.token == *token)
        })?;
        let entry = self.rows[row][place].as_mut()?;
        entry.last_use = self.uses;
        Some(&entry.verified)
    }

    /// Caches a token, in place of an outdated or the least recently used entry.
    pub(super) fn put(&mut self, token: &[u8], verified: Verified, generation: u64, now_s: u64) {
        let Some((row, tag)) = self.place_of(token) else {
            return;
        };
        let worth = |entry: &Option<CacheEntry>| match entry {
            None => 0,
            Some(entry) if entry.generation != generation => 0,
            Some(entry) if entry.verified.is_over(now_s) => 0,
            Some(entry) => entry.last_use,
        };
        let worst = (0..PLACES).min_by_key(|&place| worth(&self.rows[row][place]));
        let Some(place) = worst else { return };
        self.tags[row][place] = tag;
        self.rows[row][place] =
            Some(CacheEntry { token: token.into(), verified, generation, last_use: self.uses });
    }

    fn place_of(&self, token: &[u8]) -> Option<(usize, u64)> {
        if self.tags.is_empty() {
            return None;
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(&token[token.len().saturating_sub(HASHED_BYTES_MAX)..]);
        let hash = hasher.finish();
        // The high bits select the row without a division; the tag is the whole hash, but never 0.
        let row = (u128::from(hash) * self.tags.len() as u128) >> 64;
        Some((row as usize, hash | 1))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.rows.iter().flatten().filter(|entry| entry.is_some()).count()
    }
}

#[cfg(test)]
mod tests;
