//! The incarnation of a sale: distinguishes it from earlier and later sales of the same name.

use std::sync::atomic::Ordering;

use redis::RedisResult;
use redis::aio::ConnectionLike;
use rustc_hash::FxHashMap;

use crate::projection::read_model::faults::REPLACED;
use crate::projection::read_model::{Sale, Sales};
use crate::store::scripts::{Failure, Refusal};

/// Its field in the state.
pub(crate) const INCARNATION: &str = "incarnation";

/// A new one: Redis's `TIME` in µs as 14 hexadecimal digits, then 18 random ones. A later
/// incarnation is the larger text.
pub(crate) async fn new_incarnation(conn: &mut impl ConnectionLike) -> RedisResult<String> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(conn).await?;
    Ok(incarnation_at(seconds * 1_000_000 + micros))
}

fn incarnation_at(micros: u64) -> String {
    format!("{:014x}{:018x}", micros & ((1 << 56) - 1), fastrand::u128(..) >> 56)
}

impl Sales {
    /// Removes a purged sale, but no later sale of its name.
    pub(crate) fn forget(&self, sale: &Sale) {
        self.retain(|known| !std::ptr::eq(known, sale));
    }

    /// Removes replaced sales whose replacement is not listed any more.
    pub(crate) fn forget_replaced(&self, is_listed: impl Fn(&str) -> bool) {
        self.retain(|known| !known.is_replaced() || is_listed(&known.id));
    }

    fn retain(&self, stays: impl Fn(&Sale) -> bool) {
        if !self.map.load().values().all(|sale| stays(sale)) {
            self.map.rcu(|map| {
                let mut map = FxHashMap::clone(map);
                map.retain(|_, sale| stays(sale));
                map
            });
        }
    }
}

impl Sale {
    /// The incarnation of this sale.
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// The identity that scripts must find: this epoch and this incarnation.
    pub fn ledger_identity(&self, epoch: &str) -> String {
        ledger_identity(epoch, &self.incarnation)
    }

    /// Whether the ledger has a later incarnation: the state of this one is void.
    pub fn is_replaced(&self) -> bool {
        self.faults.load(Ordering::Acquire) & REPLACED != 0
    }

    /// Stores the ledger's incarnation. A later one replaces this: its replies are no longer
    /// acknowledged. An earlier one does not: a ledger that went back has lost changes.
    pub(crate) fn note_incarnation(&self, incarnation: &str) {
        if incarnation > self.incarnation() && !self.is_replaced() {
            self.set_fault_bit(REPLACED, true);
            self.acknowledged().close();
            let (sequence, was) = (self.known_sequence(), self.incarnation());
            tracing::warn!(
                sale = self.id,
                sequence,
                was,
                now = incarnation,
                "the sale was replaced by another of its name: the state of the former one is dropped"
            );
        }
    }

    /// Stores the ledger's incarnation from a refusal.
    pub(crate) fn note_refusal(&self, failure: &Failure) {
        if let Failure::Refused(Refusal::Incarnation { incarnation, .. }) = failure {
            self.note_incarnation(incarnation);
        }
    }
}

/// The identity of a ledger as scripts expect it (see `lua/ledger.lua`).
pub(crate) fn ledger_identity(epoch: &str, incarnation: &str) -> String {
    format!("{epoch} {incarnation}")
}

#[cfg(test)]
mod tests;
