//! Hashes of tokens that passed verification: valid clients stay admitted while their address is rate-limited.
//!
//! Only a hint to verify a token at all. A colliding hash evicts an older one, which then counts as unseen.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Hashes in the table; 8 bytes each, allocated at the start.
const TOKENS: usize = 1 << 20;

/// A lossy set of hashes.
pub(super) struct VerifiedTokens(Box<[AtomicU64]>);

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(std::iter::repeat_with(AtomicU64::default).take(TOKENS).collect())
    }
}

impl VerifiedTokens {
    pub(super) fn add(&self, token: u64) {
        let slot = self.slot(token);
        // Nearly always it is there already, and a cache line that is only read stays shared by all workers.
        if slot.load(Relaxed) != token {
            slot.store(token, Relaxed);
        }
    }

    pub(super) fn contains(&self, token: u64) -> bool {
        self.slot(token).load(Relaxed) == token
    }

    fn slot(&self, token: u64) -> &AtomicU64 {
        &self.0[token as usize % TOKENS]
    }
}

#[cfg(test)]
mod tests;
