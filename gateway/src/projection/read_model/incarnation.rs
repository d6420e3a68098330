//! The incarnation of a sale: what distinguishes it from another sale that had, or will have, the same name.

use std::sync::atomic::Ordering;

use redis::RedisResult;
use redis::aio::ConnectionLike;
use rustc_hash::FxHashMap;

use crate::projection::read_model::{REPLACED, Sale, Sales};
use crate::store::scripts::{Failure, Refusal};

/// Its field of the state.
pub(crate) const INCARNATION: &str = "incarnation";

/// A new one: Redis's `TIME` in µs as 14 hexadecimal digits, then 18 random ones. A later one is the larger text.
pub(crate) async fn new_incarnation(conn: &mut impl ConnectionLike) -> RedisResult<String> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(conn).await?;
    Ok(incarnation_at(seconds * 1_000_000 + micros))
}

fn incarnation_at(micros: u64) -> String {
    format!("{:014x}{:018x}", micros & ((1 << 56) - 1), fastrand::u128(..) >> 56)
}

impl Sales {
    /// Forgets a sale that was purged: this one, and no other that has its name by now.
    pub(crate) fn forget(&self, sale: &Sale) {
        self.retain(|known| !std::ptr::eq(known, sale));
    }

    /// Forgets the sales that were replaced, and whose replacement is not listed any more either.
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
    /// Which incarnation of the sale this is.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// What a script is to find: the Redis of this epoch, and this incarnation.
    #[must_use]
    pub fn identity(&self, epoch: &str) -> String {
        identity(epoch, &self.incarnation)
    }

    /// Whether the ledger has a later incarnation by now: nothing that is known of this one counts any more.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        self.faults.load(Ordering::Acquire) & REPLACED != 0
    }

    /// Notes the incarnation that the ledger has. A later one replaces this: from now on nothing that the ledger has answered
    /// about this one is acknowledged. An earlier one does not: a ledger that went back has lost changes.
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
                "the sale was replaced by another of its name: what was known of the former one is dropped"
            );
        }
    }

    /// Notes what a refusal says of the incarnation that the ledger has.
    pub(crate) fn note_refusal(&self, failure: &Failure) {
        if let Failure::Refused(Refusal::Incarnation { incarnation, .. }) = failure {
            self.note_incarnation(incarnation);
        }
    }
}

/// The identity of a ledger as scripts take it (see `lua/ledger.lua`).
pub(crate) fn identity(epoch: &str, incarnation: &str) -> String {
    format!("{epoch} {incarnation}")
}

#[cfg(test)]
mod tests;
