//! Token buckets for many keys in a table of fixed size; the state of governor's rate limiters.
//!
//! A bucket is one number: the instant at which it is full again. A full bucket carries no information,
//! so another key can reuse it at once and nothing needs a sweep. A key hashes to a set of [`OWN`]
//! buckets. While others use all of them, new keys share one extra bucket of the set.

use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

/// Buckets of a set that belong to one key each. With the shared one, the lock and padding, a set has 128
/// bytes: two cache lines.
const OWN: usize = 7;

/// A set, aligned so that it covers two cache lines and not three.
#[derive(Default)]
#[repr(align(128))]
struct Set {
    lock: Mutex<BucketSlots>,
}

/// Instants in nanoseconds since the process began; 0: never used.
#[derive(Default)]
struct BucketSlots {
    keys: [u64; OWN],
    full_at: [u64; OWN],
    shared_full_at: u64,
}

impl BucketSlots {
    /// The bucket of a key: its own, else a full one that becomes its own, else the shared one.
    fn of(&mut self, key: u64, now: u64) -> &mut u64 {
        let own = self.keys.iter().position(|own| *own == key);
        let slot = own.or_else(|| {
            let free = self.full_at.iter().position(|full_at| *full_at <= now)?;
            self.keys[free] = key;
            self.full_at[free] = 0;
            Some(free)
        });
        match slot {
            Some(slot) => &mut self.full_at[slot],
            None => &mut self.shared_full_at,
        }
    }
}

/// Buckets for at most a fixed number of keys.
pub struct Buckets {
    sets: Box<[Set]>,
}

impl Buckets {
    /// Allocates [`Self::bytes`] for about this many concurrent keys with a bucket of their own.
    pub fn with_room_for(keys: usize) -> Self {
        Self { sets: std::iter::repeat_with(Set::default).take(keys.div_ceil(OWN).max(1)).collect() }
    }

    /// Allocated bytes: 128 for every seven keys.
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.sets)
    }

    /// The buckets at an instant, for a decision that takes tokens.
    pub(super) fn at(&self, now: Nanos) -> BucketsAt<'_> {
        BucketsAt { buckets: self, now, keeps: true }
    }

    /// The buckets at an instant, for a decision that only reads.
    pub(super) fn look_at(&self, now: Nanos) -> BucketsAt<'_> {
        BucketsAt { buckets: self, now, keeps: false }
    }

    fn set(&self, key: u64) -> MutexGuard<'_, BucketSlots> {
        // The hash as a fraction of all sets: as even as a remainder, without a division.
        let slot = (u128::from(key) * self.sets.len() as u128) >> 64;
        // A panic cannot leave plain numbers half written.
        self.sets[slot as usize].lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The buckets as governor sees them at one instant. Keys are hashes under a secret seed, so clients
/// can't choose them.
pub(super) struct BucketsAt<'a> {
    buckets: &'a Buckets,
    now: Nanos,
    keeps: bool,
}

impl StateStore for BucketsAt<'_> {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut set = self.buckets.set(*key);
        let full_at = set.of(*key, self.now.as_u64());
        let (outcome, next) = decide((*full_at > 0).then(|| Nanos::new(*full_at)))?;
        if self.keeps {
            *full_at = next.as_u64();
        }
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests;
