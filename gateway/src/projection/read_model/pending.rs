//! Buyers with a tap that is queued, in flight or unknown: meanwhile the read model refuses them
//! nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::projection::read_model::buyers::BuildMarkHasher;
use crate::projection::read_model::{Sale, lock};

/// How long Redis may still decide a tap without a reply: a stopped Redis runs the commands in its
/// sockets when it continues.
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

    /// Adds a tap.
    pub(crate) fn add(&self, buyer: u64) {
        lock(&self.0).entry(buyer).or_default().count += 1;
    }

    /// Removes a tap that has its reply, or was never sent.
    pub(crate) fn remove(&self, buyer: u64) {
        let mut pending = lock(&self.0);
        if let Some(taps) = pending.get_mut(&buyer) {
            taps.count -= 1;
            if taps.is_over() {
                pending.remove(&buyer);
            }
        }
    }

    /// Marks a tap that was sent without a reply: it may still win.
    pub(crate) fn mark_unknown(&self, buyer: u64) {
        lock(&self.0).entry(buyer).or_default().unknown_since = Some(Instant::now());
    }

    /// Removes taps that have been unknown for too long to be decided.
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
    /// Marks this buyer's tap as pending until the guard is dropped.
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
    /// Marks a tap that was sent without a reply: it may still win.
    pub(crate) fn mark_unknown(&self) {
        self.sale.pending.mark_unknown(self.buyer);
    }

    /// Marks the tap as won: its buyer has a reservation.
    pub(crate) fn mark_won(&self) {
        self.sale.add_buyers([self.buyer]);
    }
}

impl Drop for PendingTap {
    fn drop(&mut self) {
        self.sale.pending.remove(self.buyer);
    }
}
