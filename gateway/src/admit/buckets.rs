//! The token buckets of many keys in a memory that never grows: what governor's rate limiters keep their state in.
//!
//! A bucket is one number, the instant at which it will be full again. A bucket that is full says nothing that
//! an absent one does not say, so its place can be given to the next key on the spot: there is nothing to
//! sweep. The table has sets of [`OWN`] buckets; a key has its set by its hash. When all buckets of a set are in use
//! by others, newcomers share one more bucket of that set, and those who were there keep theirs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;

/// Buckets of a set that belong to one key each. With the shared one, the lock and its padding a set has 128 bytes:
/// two cache lines.
const OWN: usize = 7;

/// A set, aligned so that it touches two cache lines and not three.
#[derive(Default)]
#[repr(align(128))]
struct Set {
    lock: Mutex<BucketSlots>,
}

/// The instants are nanoseconds since the process began; 0: never used.
#[derive(Default)]
struct BucketSlots {
    keys: [u64; OWN],
    full_at: [u64; OWN],
    shared_full_at: u64,
}

impl BucketSlots {
    /// The bucket of a key: its own, or else a full one that becomes its own, or else the one that is shared.
    fn of(&mut self, key: u64, now: u64) -> &mut u64 {
        let own = self.keys.iter().position(|known| *known == key);
        let place = own.or_else(|| {
            let free = self.full_at.iter().position(|full_at| *full_at <= now)?;
            self.keys[free] = key;
            self.full_at[free] = 0;
            Some(free)
        });
        match place {
            Some(place) => &mut self.full_at[place],
            None => &mut self.shared_full_at,
        }
    }
}

/// Buckets for at most a fixed number of keys.
pub struct Buckets {
    sets: Box<[Set]>,
}

impl Buckets {
    /// Room for about so many keys that are in use at the same time, with a bucket of their own; it takes
    /// [`Self::bytes`] from now on.
    #[must_use]
    pub fn with_room_for(keys: usize) -> Self {
        Self { sets: std::iter::repeat_with(Set::default).take(keys.div_ceil(OWN).max(1)).collect() }
    }

    /// The memory that it takes, in bytes: 128 for every seven keys.
    #[must_use]
    pub fn bytes(&self) -> usize {
        std::mem::size_of_val(&*self.sets)
    }

    /// The buckets at an instant, for one decision that takes from a bucket.
    pub(super) fn at(&self, now: Nanos) -> BucketsAt<'_> {
        BucketsAt { buckets: self, now, keeps: true }
    }

    /// The same for a decision that only looks.
    pub(super) fn look_at(&self, now: Nanos) -> BucketsAt<'_> {
        BucketsAt { buckets: self, now, keeps: false }
    }

    fn set(&self, key: u64) -> MutexGuard<'_, BucketSlots> {
        // The hash as a fraction of all sets: as even as a remainder, and without a division.
        let place = (u128::from(key) * self.sets.len() as u128) >> 64;
        // Plain numbers are whole, whoever panicked over them.
        self.sets[place as usize].lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The buckets as governor sees them at one instant. Keys are hashes that nobody outside can choose.
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
