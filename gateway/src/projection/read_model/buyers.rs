//! The set of buyers with any reservation, as marks (see [`crate::domain::identity::buyer_mark`]).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{PoisonError, RwLock};

/// Marks need no hashing: they are 64 bits of SHA-256, which clients cannot choose.
pub(crate) type BuildMarkHasher = BuildHasherDefault<MarkHasher>;

#[derive(Default)]
pub(crate) struct MarkHasher(u64);

impl Hasher for MarkHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Marks are numbers. Anything else is hashed, if badly.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
}

/// The shards of the set. A growing shard blocks its readers: at two million buyers for well below
/// a millisecond.
const PARTS: usize = 64;

/// Eight bytes for each buyer, and spare capacity.
pub(crate) struct Buyers {
    parts: Vec<RwLock<HashSet<u64, BuildMarkHasher>>>,
}

impl Buyers {
    pub(crate) fn of(marks: impl IntoIterator<Item = u64>) -> Self {
        let buyers = Self { parts: (0..PARTS).map(|_| RwLock::default()).collect() };
        marks.into_iter().for_each(|mark| buyers.add(mark));
        buyers
    }

    pub(crate) fn contains(&self, mark: u64) -> bool {
        self.part(mark).read().unwrap_or_else(PoisonError::into_inner).contains(&mark)
    }

    /// Adds a buyer. The consumer repeats those that this gateway added itself, so it first looks
    /// without a write lock.
    pub(crate) fn add(&self, mark: u64) {
        if self.contains(mark) {
            return;
        }
        self.part(mark).write().unwrap_or_else(PoisonError::into_inner).insert(mark);
    }

    /// Selects by bits that the set itself does not use: it uses the lowest and the seven highest.
    fn part(&self, mark: u64) -> &RwLock<HashSet<u64, BuildMarkHasher>> {
        &self.parts[(mark >> 48) as usize % PARTS]
    }
}

#[cfg(test)]
mod tests;
