//! Checks that Redis has room for all reservations that the sales can still take.

use crate::doctor::redis::RedisFacts;
use crate::doctor::report::{Finding, Findings, Severity, bytes};
use crate::domain::definition::Definition;

/// Bytes of a reservation that is taken, paid and perhaps cancelled: its record and its journal entries.
/// In a batch it needs less (measured by a test in `tests/it/operations/doctor/room.rs`).
pub const RESERVATION_BYTES: u64 = 1_000;
/// Bytes of an item: its counter and its total, by name.
pub const ITEM_BYTES: u64 = 250;

/// Bytes of a sign-up, and of a place in a standby queue, in batches of 64 (see `docs/operations.md`).
pub(super) const SIGN_UP_BYTES: u64 = 171;
pub(super) const PLACE_BYTES: u64 = 357;

/// The memory that a sale can still need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Reservations that can still be started: each unit as often as one buyer has attempts.
    pub reservations: u64,
    /// Bytes of these, and of each item.
    pub bytes: u64,
    /// A model is sold without any limit, so there is no bound.
    pub is_endless: bool,
}

impl MemoryNeed {
    /// The need of a sale with this many reservations so far.
    pub fn of(definition: &Definition, started: u64) -> Self {
        let slots = total(definition.stores.iter().map(|store| store.capacity));
        let units = total(definition.models.iter().map(|model| model.stock));
        // A model without a limit is still bounded by the slots of the stores.
        let units = units.or(slots.filter(|_| !definition.stores.is_empty()));
        let started_at_most = units.unwrap_or_default().saturating_mul(definition.sale.attempts.into());
        let reservations = started_at_most.saturating_sub(started);
        let items = definition.models.len() + definition.packages.len() + definition.stores.len();
        let once = u64::try_from(items).unwrap_or(u64::MAX).saturating_mul(ITEM_BYTES);
        Self {
            reservations,
            bytes: reservations.saturating_mul(RESERVATION_BYTES).saturating_add(once),
            is_endless: units.is_none(),
        }
    }
}

/// The sum; `None` if one of them has no limit.
pub(super) fn total(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.sum()
}

/// Compares the needs with the room in Redis.
pub(super) fn check(facts: &RedisFacts, needs: &[MemoryNeed]) -> Vec<Finding> {
    let mut lines = Findings::of(facts.area());
    let need = needs.iter().fold(0, |sum: u64, need| sum.saturating_add(need.bytes));
    let (used, limit, machine) =
        (facts.number("used_memory"), facts.number("maxmemory"), facts.number("total_system_memory"));
    let room = if limit > 0 { limit } else { machine }.saturating_sub(used);
    let of = if limit > 0 {
        format!("maxmemory {}", bytes(limit))
    } else {
        format!("the machine's {}, as there is no maxmemory", bytes(machine))
    };
    let found = format!("{} in use of {of}; the sales can take {} more", bytes(used), bytes(need));
    let todo = "CONFIG SET maxmemory to twice what is needed, and in redis.conf, on a machine that has it: at the \
                limit new reservations are refused";
    let is_full = need > room || (limit > 0 && room == 0);
    // A reserve for buffers, the copy during a rewrite, and the unforeseen.
    let is_tight = need > room / 2 || limit == 0;
    lines.add(Severity::worst(is_full, is_tight), "memory", found, todo);
    if limit > machine / 5 * 4 && machine > 0 {
        let found = format!("maxmemory is {} of the machine's {}", bytes(limit), bytes(machine));
        let todo = "leave a fifth to the system and to the copy while the file is rewritten";
        lines.warn("machine", found, todo);
    }
    if needs.iter().any(|need| need.is_endless) {
        let found = "a model without stock at stores without capacity: the needed memory has no bound";
        lines.warn("endless", found, "give the model a stock");
    }
    lines.end()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
