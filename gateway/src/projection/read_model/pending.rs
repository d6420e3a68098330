//! Buyers with a tap that is queued, in flight or unknown here: while they have one, memory refuses them nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::projection::read_model::buyers::BuildMarkHasher;
use crate::projection::read_model::{Sale, lock};

/// How long a tap without an answer may still be decided by Redis: commands that a stopped Redis
/// finds in its sockets are run when it goes on.
const UNKNOWN_KEPT: Duration = Duration::from_secs(60);

/// The taps of each buyer, by mark.
#[derive(Default)]
pub(crate) struct Pending(Mutex<HashMap<u64, PendingTaps, BuildMarkHasher>>);

#[derive(Debug, Default)]
struct PendingTaps {
    count: usize,
    unknown_since: Option<Instant>,
}

impl PendingTaps {
    fn is_over(&self) -> bool {
        self.count == 0 && self.unknown_since.is_none()
    }
}

impl Pending {
    pub(crate) fn contains(&self, buyer: u64) -> bool {
        lock(&self.0).contains_key(&buyer)
    }

    /// A tap has come.
    pub(crate) fn add(&self, buyer: u64) {
        lock(&self.0).entry(buyer).or_default().count += 1;
    }

    /// It has its answer, or was never sent.
    pub(crate) fn remove(&self, buyer: u64) {
        let mut pending = lock(&self.0);
        if let Some(taps) = pending.get_mut(&buyer) {
            taps.count -= 1;
            if taps.is_over() {
                pending.remove(&buyer);
            }
        }
    }

    /// It was sent and no answer came: it may still win.
    pub(crate) fn mark_unknown(&self, buyer: u64) {
        lock(&self.0).entry(buyer).or_default().unknown_since = Some(Instant::now());
    }

    /// Forgets what has been unknown for too long to be decided any more.
    pub(crate) fn forget_expired(&self) {
        lock(&self.0).retain(|_, taps| {
            if taps.unknown_since.is_some_and(|since| since.elapsed() > UNKNOWN_KEPT) {
                taps.unknown_since = None;
            }
            !taps.is_over()
        });
    }
}

impl Sale {
    /// Notes a tap of this buyer until the guard is dropped.
    pub(crate) fn add_pending(self: &Arc<Self>, buyer: u64) -> PendingTap {
        self.pending.add(buyer);
        PendingTap { sale: self.clone(), buyer }
    }
}

/// A tap that is queued, in flight or unknown.
pub(crate) struct PendingTap {
    sale: Arc<Sale>,
    buyer: u64,
}

impl PendingTap {
    /// It was sent and no answer came: it may still win.
    pub(crate) fn mark_unknown(&self) {
        self.sale.pending.mark_unknown(self.buyer);
    }

    /// It won: its buyer has a reservation from now on.
    pub(crate) fn mark_won(&self) {
        self.sale.add_buyers([self.buyer]);
    }
}

impl Drop for PendingTap {
    fn drop(&mut self) {
        self.sale.pending.remove(self.buyer);
    }
}
