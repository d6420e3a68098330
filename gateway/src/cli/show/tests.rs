//! Unit tests of `show.rs`.

use super::*;
use crate::domain::definition::Definition;

fn gateway(listen: &str, reason: Option<&str>) -> GatewayReport {
    let reasons = reason.into_iter().map(ToOwned::to_owned).collect();
    GatewayReport { listen: listen.into(), ready: reason.is_none(), reasons, ..GatewayReport::default() }
}

#[test]
fn gateways_are_one_line_that_names_those_that_are_not_ready() {
    assert_eq!(describe_gateways(&[]), "none is live: nothing is sold");
    let mut live = vec![gateway("10.0.0.1:80", None), gateway("10.0.0.2:80", None)];
    assert_eq!(describe_gateways(&live), "2 live, all ready");
    live.push(gateway("10.0.0.3:80", Some("draining")));
    assert_eq!(describe_gateways(&live), "3 live, 1 not ready: 10.0.0.3:80: draining");
    live.extend((0..8).map(|n| gateway(&format!("h{n}"), Some("draining"))));
    let text = describe_gateways(&live);
    assert!(
        text.starts_with("11 live, 9 not ready: ") && text.matches("draining").count() == NAMED_MAX,
        "{text}"
    );
}

#[test]
fn a_long_list_of_items_is_cut_and_stores_are_one_line() {
    let models: Vec<_> =
        (0..33).map(|n| format!(r#"{{"id": "m{n}", "name": "M", "price": 1, "stock": 9}}"#)).collect();
    let text = format!(
        r#"{{"sale": {{"id": "small", "name": "S", "opens_at": "2030-01-01T01:00:00Z", "closes_at": "2030-01-03T00:00:00Z",
        "hold": "15m", "currency": "CNY"}}, "model": [{}],
        "stores": [{{"id": "s", "name": "S", "city": "C", "capacity": 9}}, {{"id": "t", "name": "T", "city": "C", "capacity": 5}},
        {{"id": "u", "name": "U", "city": "C"}}]}}"#,
        models.join(", ")
    );
    let definition = Definition::from_json(text.as_bytes()).unwrap();
    let view = |(item, stock, _): (String, Option<u64>, u64)| {
        let total = stock.map(|stock| i64::try_from(stock).unwrap());
        ItemView { item, total, free: total.map(|total| total - 1), aside: None }
    };
    let lines = item_lines(&definition.items().map(view).collect::<Vec<_>>(), None);
    assert_eq!(lines.len(), 1 + ITEMS_MAX + 1 + 2, "{lines:#?}");
    assert!(lines.iter().all(|line| line.len() <= 80), "{lines:#?}");
    assert_eq!(lines[ITEMS_MAX + 1], "and 3 more models and packages: --json has all");
    let columns = |line: &str| line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    assert_eq!(columns(&lines[1]), ["model:m0", "9", "8", "-", "-"]);
    assert_eq!(columns(&lines[ITEMS_MAX + 2]), ["2", "stores", "together", "14", "12", "-", "-"]);
    assert_eq!(columns(&lines[ITEMS_MAX + 3]), ["1", "stores", "without", "a", "limit", "-", "-", "-", "-"]);
}
