//! As of when the read model of a sale is complete: it refuses only requests that had arrived by then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::projection::memory::{Sale, Sales};

/// What the rounds of `reserve/freshness.rs` have found.
pub(crate) struct Complete {
    /// The change up to which stock, controls and buyers are all there.
    read_to: watch::Sender<u64>,
    /// The change that a round waits for; 0: none.
    awaited: AtomicU64,
    /// As of when the model is complete, in nanoseconds after the sale's `since`; 0: never yet.
    as_of: AtomicU64,
    /// Requests wait for a round.
    wanted: Notify,
    /// When the latest round that has ended was begun.
    rounds: watch::Sender<Option<Instant>>,
}

impl Default for Complete {
    fn default() -> Self {
        Self {
            read_to: watch::Sender::new(0),
            awaited: AtomicU64::new(0),
            as_of: AtomicU64::new(0),
            wanted: Notify::new(),
            rounds: watch::Sender::new(None),
        }
    }
}

impl Sales {
    /// Ends the wait of the journal consumers for more changes.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// Waits this long for more changes, or only until a round waits for one that is there.
    pub(crate) async fn gather(&self, longest: Duration) {
        // Made before the look, so that no word is missed.
        let hurried = self.hurry.notified();
        if !self.map.load().values().any(|sale| sale.awaits_change()) {
            let _ = tokio::time::timeout(longest, hurried).await;
        }
    }
}

impl Sale {
    /// Whether the ledger serves this very sale, as far as is known, and its journal can be followed.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.troubles.load(Ordering::Acquire) == 0
    }

    /// Whether the read model may refuse a request that arrived then: it has every change from before, and neither the
    /// ledger nor the journal consumer is in trouble.
    #[must_use]
    pub fn is_complete_as_of(&self, arrived: Instant) -> bool {
        // Pairs with the store: who sees it sees the changes, too.
        let as_of = self.complete.as_of.load(Ordering::Acquire);
        as_of > 0 && self.since + Duration::from_nanos(as_of) >= arrived && self.is_trusted()
    }

    /// A round that was begun then has found the model complete.
    pub(crate) fn set_complete_as_of(&self, begun: Instant) {
        let as_of = u64::try_from(begun.saturating_duration_since(self.since).as_nanos()).unwrap_or(u64::MAX);
        self.complete.as_of.fetch_max(as_of, Ordering::Release);
    }

    /// The change up to which the model is complete.
    #[must_use]
    pub fn read_to(&self) -> u64 {
        *self.complete.read_to.borrow()
    }

    /// The journal consumer has read up to this change.
    pub(crate) fn set_read_to(&self, sequence: u64) {
        self.complete.read_to.send_if_modified(|known| std::mem::replace(known, sequence) != sequence);
    }

    /// Waits until the model has this change, not longer than this; whether it has.
    pub(crate) async fn reads_to(&self, sequence: u64, longest: Duration) -> bool {
        let mut read_to = self.complete.read_to.subscribe();
        self.complete.awaited.store(sequence, Ordering::Relaxed);
        let reached = tokio::time::timeout(longest, read_to.wait_for(|read_to| *read_to >= sequence)).await;
        self.complete.awaited.store(0, Ordering::Relaxed);
        reached.is_ok()
    }

    /// Whether a round waits for a change that the journal consumer has not read.
    pub(crate) fn awaits_change(&self) -> bool {
        self.complete.awaited.load(Ordering::Relaxed) > self.read_to()
    }

    /// Asks for a round; one that begins from now on serves all that ask before it begins.
    pub(crate) fn want_round(&self) {
        self.complete.wanted.notify_one();
    }

    /// Waits until a round is wanted.
    pub(crate) async fn round_is_wanted(&self) {
        self.complete.wanted.notified().await;
    }

    /// When the latest round that has ended was begun: who waits for it subscribes.
    pub(crate) fn rounds(&self) -> watch::Receiver<Option<Instant>> {
        self.complete.rounds.subscribe()
    }

    /// Lets all requests go on that arrived before a round that was begun then.
    pub(crate) fn end_round(&self, begun: Instant) {
        self.complete.rounds.send_replace(Some(begun));
    }
}
