//! Unit tests of `drift.rs`.

use serde_json::json;

use super::*;

#[test]
fn counters_of_another_definition_are_not_compared() {
    let definition = json!({
        "sale": {"id": "s", "name": "S", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2100-01-01T00:00:00Z",
            "hold": "15m", "currency": "CNY"},
        "model": [{"id": "m", "name": "M", "price": 1, "stock": 5}],
        "stores": [{"id": "a", "name": "A", "city": "B", "capacity": 10}],
    });
    let sale = Sale::fixture(&definition.to_string(), &[5, 10], (0, 0));
    let read_model = sale.read_model();
    let counters = |revision, free| Counters {
        sequence: read_model.sequence,
        revision,
        held: 1,
        free,
        aside: Vec::new(),
    };
    let revision = read_model.catalogue.revision;
    sale.compare_counters(counters(revision + 1, vec![Some(3), Some(5)]));
    assert_eq!(sale.drift(), None, "its items have other places");
    sale.compare_counters(counters(revision, vec![Some(5)]));
    assert_eq!(sale.drift(), None);
    sale.compare_counters(counters(revision, vec![Some(3)]));
    let drift = sale.drift().unwrap();
    assert_eq!(*drift, "the counter of model:m is 3, the journal has 5");
}
