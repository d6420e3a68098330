//! The memory of verified tokens: a signature costs up to 35 µs, finding it here a fraction of one.
//!
//! Of public keys only: see [`super::keys::TokenKeys::are_public`].
//!
//! A table of fixed size, eight places to a row, so that no request ever pays for a rehash or for
//! emptying a full generation. A token is found by all of its bytes; the hash only says where.
//! Entries of older keys are not removed but no longer match, and are the first to be replaced.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::identify::verify::Verified;

const PLACES: usize = 8;

/// The end of a token is its signature: random enough to hash, and shorter than all of it.
const HASHED_BYTES_MAX: usize = 32;

/// Tags stand apart from what they tag: a look-up reads one row of them, usually one cache line.
pub(super) struct Cache {
    hasher: RandomState,
    /// 0 is an empty place.
    tags: Vec<[u64; PLACES]>,
    rows: Vec<[Option<CacheEntry>; PLACES]>,
    /// Counts look-ups, to know which entry of a row was used longest ago.
    uses: u64,
}

struct CacheEntry {
    token: Box<[u8]>,
    verified: Verified,
    generation: u64,
    last_use: u64,
}

impl Cache {
    /// Room for `entries` tokens, rounded down to full rows but at least one; 0 keeps nothing.
    pub(super) fn new(entries: usize) -> Self {
        let rows = if entries == 0 { 0 } else { (entries / PLACES).max(1) };
        Self {
            hasher: RandomState::new(),
            tags: vec![[0; PLACES]; rows],
            rows: (0..rows).map(|_| Default::default()).collect(),
            uses: 0,
        }
    }

    /// What was verified about exactly this token with the keys of this generation.
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

    /// Remembers a token, in place of one that is of no use any more or was used longest ago.
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
        // The high bits choose the row without a division; the tag is all of them, but never 0.
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
