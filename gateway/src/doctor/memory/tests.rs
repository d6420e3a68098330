//! Unit tests of `memory.rs`.

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
fn a_unit_counts_once_for_each_attempt_of_a_buyer() {
    let need = MemoryNeed::of(&definition(r#", "stock": 50"#, ""), 0);
    assert_eq!((need.reservations, need.is_endless), (450, false));
    assert_eq!(need.bytes, 450 * RESERVATION_BYTES + 3 * ITEM_BYTES);
    assert_eq!(MemoryNeed::of(&definition(r#", "stock": 50"#, ""), 449).reservations, 1);
    assert_eq!(MemoryNeed::of(&definition(r#", "stock": 50"#, ""), 10_000).reservations, 0);
    // A model without a limit has that of the stores, if they have one.
    assert_eq!(MemoryNeed::of(&definition("", r#", "capacity": 7"#), 0).reservations, 21);
    assert!(MemoryNeed::of(&definition("", ""), 0).is_endless);
}

#[test]
fn the_room_is_compared_with_the_need() {
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
    let checks =
        |lines: Vec<Finding>| lines.into_iter().map(|line| (line.check, line.verdict)).collect::<Vec<_>>();
    let endless = MemoryNeed { reservations: 0, bytes: 0, is_endless: true };
    assert_eq!(
        checks(check(&near, &[endless])),
        [("memory", Severity::Ok), ("machine", Severity::Warn), ("endless", Severity::Warn)]
    );
}
