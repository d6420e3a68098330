//! Is there room in Redis for all that the sales can become?

use crate::doctor::redis::RedisFacts;
use crate::doctor::report::{Finding, Findings, Severity};
use crate::doctor::words::bytes;
use crate::domain::definition::Definition;

/// Bytes of a reservation that is taken, paid and perhaps ends again: its record, and journal entries of its own. Taken in
/// a batch it needs less (measured by a test in `tests/it/doctor`).
pub const RESERVATION_BYTES: u64 = 1_000;
/// Bytes of an item: its counter and its total, by name.
pub const ITEM_BYTES: u64 = 250;

/// What a sale can still take up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Reservations that can still be started: each unit as often as one buyer may try.
    pub reservations: u64,
    /// Bytes for these, and for what there is once for each item.
    pub bytes: u64,
    /// Something is sold without any limit: there is no such number.
    pub is_endless: bool,
}

impl MemoryNeed {
    /// Of a sale in which so many were started already.
    #[must_use]
    pub fn of(definition: &Definition, started: u64) -> Self {
        let slots = total(definition.stores.iter().map(|store| store.capacity));
        let units = total(definition.models.iter().map(|model| model.stock));
        // A model without a limit is still picked up at a store that may have one.
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

/// Holds what is needed against what there is.
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
    let verdict = match () {
        () if need > room || (limit > 0 && room == 0) => Severity::Fail,
        // Buffers of connections, the copy while the file is rewritten, and what nobody has foreseen.
        () if need > room / 2 || limit == 0 => Severity::Warn,
        () => Severity::Ok,
    };
    lines.add_with_severity(verdict, "memory", found, todo);
    if limit > machine / 5 * 4 && machine > 0 {
        let found = format!("maxmemory is {} of the machine's {}", bytes(limit), bytes(machine));
        lines.warn(
            "machine",
            found,
            "leave a fifth to the system and to the copy while the file is rewritten",
        );
    }
    if needs.iter().any(|need| need.is_endless) {
        let found = "a model without stock at stores without capacity: nobody can say how much room it takes";
        lines.warn("endless", found, "give the model a stock");
    }
    lines.end()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use super::*;
    use crate::doctor::redis::tests::facts;

    const MIB: u64 = 1 << 20;

    fn definition(stock: &str, capacity: &str) -> Definition {
        let text = format!(
            r#"{{"sale": {{"id": "s", "name": "S", "opens_at": "2030-01-01T00:00:00Z", "closes_at": "2030-01-02T00:00:00Z",
              "hold": "15m", "attempts": 3, "currency": "CNY"}},
              "model": [{{"id": "a", "name": "A", "price": 1, "stock": 100}}, {{"id": "b", "name": "B", "price": 1 {stock}}}],
              "stores": [{{"id": "s", "name": "S", "city": "C" {capacity}}}]}}"#
        );
        Definition::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_unit_can_be_tried_for_as_often_as_a_buyer_may() {
        let need = MemoryNeed::of(&definition(r#", "stock": 50"#, ""), 0);
        assert_eq!((need.reservations, need.is_endless), (450, false));
        assert_eq!(need.bytes, 450 * RESERVATION_BYTES + 3 * ITEM_BYTES);
        assert_eq!(MemoryNeed::of(&definition(r#", "stock": 50"#, ""), 449).reservations, 1);
        assert_eq!(MemoryNeed::of(&definition(r#", "stock": 50"#, ""), 10_000).reservations, 0);
        // Without a limit of its own a model has that of the stores, if they have one.
        assert_eq!(MemoryNeed::of(&definition("", r#", "capacity": 7"#), 0).reservations, 21);
        assert!(MemoryNeed::of(&definition("", ""), 0).is_endless);
    }

    #[test]
    fn room_is_judged_by_what_is_needed() {
        let need = |bytes| MemoryNeed { reservations: 1, bytes, is_endless: false };
        for (limit, used, needed, verdict) in [
            (100, 10, 40, Severity::Ok),
            (100, 10, 50, Severity::Warn),
            (100, 10, 90, Severity::Warn),
            (100, 10, 91, Severity::Fail),
            (100, 100, 0, Severity::Fail),
            (100, 120, 0, Severity::Fail),
            // The machine has 1,000.
            (0, 10, 0, Severity::Warn),
            (0, 10, 990, Severity::Warn),
            (0, 10, 991, Severity::Fail),
        ] {
            let facts = facts(&[
                ("used_memory", &(used * MIB).to_string()),
                ("maxmemory", &(limit * MIB).to_string()),
                ("total_system_memory", &(1_000 * MIB).to_string()),
            ]);
            let lines = check(&facts, &[need(needed * MIB / 2), need(needed * MIB - needed * MIB / 2)]);
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(lines[0].verdict, verdict, "{limit} {used} {needed}: {}", lines[0].found);
        }
    }

    #[test]
    fn a_limit_near_the_machine_s_and_a_sale_without_end_are_reported() {
        let near = facts(&[("maxmemory", "900"), ("total_system_memory", "1000"), ("used_memory", "1")]);
        let checks = |lines: Vec<Finding>| {
            lines.into_iter().map(|line| (line.check, line.verdict)).collect::<Vec<_>>()
        };
        let endless = MemoryNeed { reservations: 0, bytes: 0, is_endless: true };
        assert_eq!(
            checks(check(&near, &[endless])),
            [("memory", Severity::Ok), ("machine", Severity::Warn), ("endless", Severity::Warn)]
        );
    }
}
