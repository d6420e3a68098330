//! What the relay counts and measures; metrics and the lease's state read it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};

/// Counts and measures of one relay. All parts of the process share it.
#[derive(Debug)]
pub struct Status {
    /// The sale that is delivered.
    pub sale: String,
    /// The reader's name, `--name`.
    pub reader: String,
    /// `postgres`, `webhook` or `stdout`.
    pub sink: &'static str,
    /// Changes that the sink has delivered. The sink counts.
    pub delivered: AtomicU64,
    /// Delivered changes that were taken back after a fork. The sink counts.
    pub rescinded: AtomicU64,
    /// Reservations whose webhooks wait for another attempt. The sink sets it.
    pub parked: AtomicU64,
    /// Webhooks whose last attempt has failed. The sink sets it.
    pub dead: AtomicU64,
    /// Whether this relay is the one that delivers.
    pub has_lease: AtomicBool,
    lag: Mutex<Lag>,
    failures: Mutex<BTreeMap<Cause, u64>>,
}

/// How far the sink is behind the ledger.
#[derive(Debug, Default, Clone, Copy)]
struct Lag {
    /// When the oldest change happened that was not read yet; `None`: all that exist were.
    unread_since: Option<Timestamp>,
    /// How many sequences of the ledger were not read yet.
    unread: u64,
    /// The same for what the sink has stored, and not delivered yet.
    undelivered_since: Option<Timestamp>,
    undelivered: u64,
}

/// What went wrong, for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The gateway could not be reached, or its answer broke off.
    GatewayUnreachable,
    /// The gateway answered that it can't serve just now.
    GatewayUnavailable,
    /// The gateway's answer could not be read.
    GatewayAnswer,
    /// The gateway does not know the sale.
    SaleMissing,
    /// The ledger lost changes that had been delivered.
    Forked,
    /// The lease ended before it was renewed.
    LeaseLost,
    /// The sink did not take a page.
    Sink,
    /// A receiver of webhooks did not take one.
    Receiver,
}

impl Cause {
    /// All of them, so that each is a series from the start.
    pub const ALL: [Self; 8] = [
        Self::GatewayUnreachable,
        Self::GatewayUnavailable,
        Self::GatewayAnswer,
        Self::SaleMissing,
        Self::Forked,
        Self::LeaseLost,
        Self::Sink,
        Self::Receiver,
    ];

    /// The label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::GatewayUnreachable => "gateway-unreachable",
            Self::GatewayUnavailable => "gateway-unavailable",
            Self::GatewayAnswer => "gateway-answer",
            Self::SaleMissing => "sale-missing",
            Self::Forked => "forked",
            Self::LeaseLost => "lease-lost",
            Self::Sink => "sink",
            Self::Receiver => "receiver",
        }
    }
}

impl Status {
    /// Of a relay that has not begun.
    pub fn new(sale: &str, reader: &str, sink: &'static str) -> Self {
        Self {
            sale: sale.to_owned(),
            reader: reader.to_owned(),
            sink,
            delivered: AtomicU64::new(0),
            rescinded: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            dead: AtomicU64::new(0),
            has_lease: AtomicBool::new(false),
            lag: Mutex::default(),
            failures: Mutex::new(Cause::ALL.map(|cause| (cause, 0)).into()),
        }
    }

    /// What of the ledger was not read yet: how many sequences, and the time of the oldest.
    pub fn set_unread(&self, sequences: u64, oldest: Option<Timestamp>) {
        let mut lag = self.lag();
        (lag.unread, lag.unread_since) = (sequences, oldest);
    }

    /// So many sequences are there, and can't be read yet: for how long, is known only from now on.
    pub fn set_unreadable(&self, sequences: u64) {
        let mut lag = self.lag();
        lag.unread = sequences;
        if sequences == 0 {
            lag.unread_since = None;
        } else {
            lag.unread_since.get_or_insert_with(Timestamp::now);
        }
    }

    /// The feed can't be read from now on: as long as that lasts, a change may be waiting.
    pub fn set_cut_off(&self) {
        self.lag().unread_since.get_or_insert_with(Timestamp::now);
    }

    /// What the sink has stored but not delivered: how many changes, and the time of the oldest. For sinks that
    /// deliver later than they store.
    pub fn set_undelivered(&self, changes: u64, oldest: Option<Timestamp>) {
        let mut lag = self.lag();
        (lag.undelivered, lag.undelivered_since) = (changes, oldest);
    }

    /// Counts a failure.
    pub fn count_failure(&self, cause: Cause) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner).entry(cause).or_default() += 1;
    }

    /// How often what went wrong.
    pub fn failures(&self) -> BTreeMap<Cause, u64> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The age of the oldest change that was not delivered, in ms; 0 when there is none.
    pub fn lag_ms(&self) -> u64 {
        let lag = *self.lag();
        let oldest = [lag.unread_since, lag.undelivered_since].into_iter().flatten().min();
        let age = oldest.map(|oldest| Timestamp::now().duration_since(oldest).as_millis());
        age.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
    }

    /// How many changes were not delivered.
    pub fn lag_changes(&self) -> u64 {
        let lag = self.lag();
        lag.unread.saturating_add(lag.undelivered)
    }

    /// What the lease tells `gateway doctor`.
    pub fn of_lease(&self) -> Value {
        json!({
            "sink": self.sink,
            "lag_ms": self.lag_ms(),
            "delivered": self.delivered.load(Relaxed),
            "parked": self.parked.load(Relaxed),
            "dead": self.dead.load(Relaxed),
        })
    }

    fn lag(&self) -> MutexGuard<'_, Lag> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
