//! The set of buyers with any reservation, as marks (see [`crate::domain::identity::buyer_mark`]).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{PoisonError, RwLock};

/// Of marks, which are hashes already: 64 bits of SHA-256 that nobody can choose.
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
        // Marks are numbers. Whatever else comes is hashed, if badly.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }
}

/// Parts of the set. Growing one makes whoever asks wait while it is copied: at two million buyers a
/// part takes well below a millisecond.
const PARTS: usize = 64;

/// Eight bytes a buyer, and room to grow.
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

    /// Adds one. The consumer comes by with those that this gateway has added itself: they are only looked at.
    pub(crate) fn add(&self, mark: u64) {
        if self.contains(mark) {
            return;
        }
        self.part(mark).write().unwrap_or_else(PoisonError::into_inner).insert(mark);
    }

    /// By bits that the set itself does not look at: it uses the lowest and the seven highest.
    fn part(&self, mark: u64) -> &RwLock<HashSet<u64, BuildMarkHasher>> {
        &self.parts[(mark >> 48) as usize % PARTS]
    }
}

#[cfg(test)]
mod tests;
