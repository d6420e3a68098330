//! As of when the read model of a sale is complete: it refuses only requests that arrived before.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::projection::read_model::{Sale, Sales};

/// The results of the rounds in `reserve/rounds.rs`.
#[derive(Default)]
pub(crate) struct Completeness {
    /// The change up to which stock, controls and buyers are complete.
    consumed_sequence: watch::Sender<u64>,
    /// The change that a round waits for; 0: none.
    awaited: AtomicU64,
    /// As of when the model is complete, in nanoseconds after the sale's `since`; 0: never yet.
    as_of: AtomicU64,
    /// Notified when requests need a round.
    wanted: Notify,
    /// The start of the latest round that has ended.
    rounds: watch::Sender<Option<Instant>>,
}

impl Sales {
    /// Ends the consumers' wait for more changes.
    pub(crate) fn wake_consumers(&self) {
        self.wake_consumers.notify_waiters();
    }

    /// Waits this long for more changes, or until a round needs a change that is there.
    pub(crate) async fn wait_for_more(&self, longest: Duration) {
        // Created before the check, so that no notification is missed.
        let hurried = self.wake_consumers.notified();
        if !self.map.load().values().any(|sale| sale.is_awaiting_change()) {
            let _ = tokio::time::timeout(longest, hurried).await;
        }
    }
}

impl Sale {
    /// Whether the ledger serves this incarnation and its journal can be followed.
    pub fn is_trusted(&self) -> bool {
        self.faults.load(Ordering::Acquire) == 0
    }

    /// Whether the read model may refuse a request that arrived at this time: it has all earlier
    /// changes, and neither the ledger nor the journal consumer has a fault.
    pub fn is_complete_as_of(&self, arrived: Instant) -> bool {
        // Pairs with the store: a reader of this value also sees the changes.
        let as_of = self.completeness.as_of.load(Ordering::Acquire);
        as_of > 0 && self.since + Duration::from_nanos(as_of) >= arrived && self.is_trusted()
    }

    /// Records that a round that began at this time found the model complete.
    pub(crate) fn set_complete_as_of(&self, begun: Instant) {
        let as_of = u64::try_from(begun.saturating_duration_since(self.since).as_nanos()).unwrap_or(u64::MAX);
        self.completeness.as_of.fetch_max(as_of, Ordering::Release);
    }

    /// The change up to which the model is complete.
    pub fn consumed_sequence(&self) -> u64 {
        *self.completeness.consumed_sequence.borrow()
    }

    /// The same, to wait for later ones.
    pub fn subscribe_consumed(&self) -> watch::Receiver<u64> {
        self.completeness.consumed_sequence.subscribe()
    }

    /// Records that the consumer has read up to this change.
    pub(crate) fn set_consumed_sequence(&self, sequence: u64) {
        self.completeness
            .consumed_sequence
            .send_if_modified(|known| std::mem::replace(known, sequence) != sequence);
    }

    /// Waits at most this long until the model has this change; returns whether it has.
    pub(crate) async fn wait_until_consumed(&self, sequence: u64, longest: Duration) -> bool {
        let mut consumed_sequence = self.completeness.consumed_sequence.subscribe();
        self.completeness.awaited.store(sequence, Ordering::Relaxed);
        let is_consumed = consumed_sequence.wait_for(|consumed| *consumed >= sequence);
        let reached = tokio::time::timeout(longest, is_consumed).await;
        self.completeness.awaited.store(0, Ordering::Relaxed);
        reached.is_ok()
    }

    /// Whether a round waits for a change that the consumer has not read.
    pub(crate) fn is_awaiting_change(&self) -> bool {
        self.completeness.awaited.load(Ordering::Relaxed) > self.consumed_sequence()
    }

    /// Requests a round; one that begins from now on serves all requests before its start.
    pub(crate) fn request_round(&self) {
        self.completeness.wanted.notify_one();
    }

    /// Waits until a round is requested.
    pub(crate) async fn wait_for_round_request(&self) {
        self.completeness.wanted.notified().await;
    }

    /// The start of the latest round that has ended, to subscribe to.
    pub(crate) fn rounds(&self) -> watch::Receiver<Option<Instant>> {
        self.completeness.rounds.subscribe()
    }

    /// Releases all requests that arrived before a round that began at this time.
    pub(crate) fn end_round(&self, begun: Instant) {
        self.completeness.rounds.send_replace(Some(begun));
    }
}
