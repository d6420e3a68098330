//! Unit tests of `report.rs`.

use super::*;

fn report(problems: &[&str], drift: i64) -> AuditReport {
    let item = |name: &str, drift: i64| ItemReport {
        item: name.to_owned(),
        total: Some(10),
        free: Some(4 + drift),
        aside: None,
        held: 2,
        confirmed: 4,
        drift,
    };
    AuditReport {
        sale: "small".to_owned(),
        sequence: 9,
        verdict: if problems.is_empty() && drift == 0 { AuditVerdict::Balanced } else { AuditVerdict::Drift },
        items: vec![item("model:a", drift), item("model:b", 0)],
        reservations: Counts::default(),
        signed_up: None,
        waiting: None,
        problems: problems.iter().map(|text| (*text).to_owned()).collect(),
    }
}

#[test]
fn a_plan_fixes_a_counter_only_where_all_else_agrees() {
    assert_eq!(report(&[], 0).plan(), Vec::<String>::new());
    let counter = report(&[], 3).plan().join("\n");
    assert!(counter.contains("HSET lg:{small}:stock model:a 4") && !counter.contains("model:b"), "{counter}");
    let damaged = report(&["reservation x differs between records and journal"], 3).plan().join("\n");
    assert!(damaged.contains("1 problems") && !damaged.contains("HSET"), "{damaged}");
    let oversold = report(&["model:a is oversold"], 0).plan().join("\n");
    assert!(oversold.contains("model:a is oversold: restock") && !oversold.contains("HSET"), "{oversold}");
}
