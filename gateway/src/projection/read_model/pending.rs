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
pub(crate) type Pending = Mutex<HashMap<u64, PendingTaps, BuildMarkHasher>>;

#[derive(Debug, Default)]
pub(crate) struct PendingTaps {
    count: usize,
    unknown_since: Option<Instant>,
}

impl PendingTaps {
    fn is_over(&self) -> bool {
        self.count == 0 && self.unknown_since.is_none()
    }
}

impl Sale {
    /// Marks this buyer's tap as pending until the guard is dropped.
    pub(crate) fn add_pending(self: &Arc<Self>, buyer: u64) -> PendingTap {
        lock(&self.pending).entry(buyer).or_default().count += 1;
        PendingTap { sale: self.clone(), buyer }
    }

    /// Removes taps that have been unknown for too long to be decided.
    pub(crate) fn forget_expired_taps(&self) {
        lock(&self.pending).retain(|_, taps| {
            if taps.unknown_since.is_some_and(|since| since.elapsed() > UNKNOWN_KEPT) {
                taps.unknown_since = None;
            }
            !taps.is_over()
        });
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
        lock(&self.sale.pending).entry(self.buyer).or_default().unknown_since = Some(Instant::now());
    }

    /// Marks the tap as won: its buyer has a reservation.
    pub(crate) fn mark_won(&self) {
        self.sale.add_buyers([self.buyer]);
    }
}

impl Drop for PendingTap {
    /// Removes a tap that has its reply, or was never sent.
    fn drop(&mut self) {
        let mut pending = lock(&self.sale.pending);
        if let Some(taps) = pending.get_mut(&self.buyer) {
            taps.count -= 1;
            if taps.is_over() {
                pending.remove(&self.buyer);
            }
        }
    }
}
