//! Tokens that were right when they were seen: who was here before is let through when an address is in disrepute.
//!
//! Only a hint that looking at a token is worth the while: it is verified all the same. Where a hash replaces another
//! one's, somebody known becomes unknown, nothing worse.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tokens that are remembered; 8 bytes each, all taken at the start.
const TOKENS: usize = 1 << 20;

/// A set of hashes that forgets.
pub(super) struct KnownTokens(Box<[AtomicU64]>);

impl Default for KnownTokens {
    fn default() -> Self {
        Self(std::iter::repeat_with(AtomicU64::default).take(TOKENS).collect())
    }
}

impl KnownTokens {
    pub(super) fn add(&self, token: u64) {
        let place = self.place(token);
        // Nearly always it is there already, and a line that is only read stays in the caches of all workers.
        if place.load(Relaxed) != token {
            place.store(token, Relaxed);
        }
    }

    pub(super) fn contains(&self, token: u64) -> bool {
        self.place(token).load(Relaxed) == token
    }

    fn place(&self, token: u64) -> &AtomicU64 {
        &self.0[token as usize % TOKENS]
    }
}

#[cfg(test)]
mod tests;
