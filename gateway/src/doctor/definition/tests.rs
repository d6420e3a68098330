//! Unit tests of `definition.rs`.

use serde_json::{Value, json};

use super::*;
use crate::doctor::report::{Severity, without_passing};

/// 2030-01-01T00:00:00Z, an hour before it opens.
const NOW: i64 = 1_893_456_000_000;

fn good() -> Value {
    json!({
        "sale": {"id": "s", "name": "S", "opens_at": "2030-01-01T01:00:00Z", "closes_at": "2030-01-03T00:00:00Z",
            "hold": "15m", "grace": "60s", "per_buyer": 1, "attempts": 5, "currency": "CNY", "deposit": 100},
        "model": [
            {"id": "a", "name": "A", "price": 1_000, "stock": 60},
            {"id": "b", "name": "B", "price": 2_000, "stock": 40},
        ],
        "package": [{"id": "p", "name": "P", "price": 0, "stock": 5, "models": ["a"]}],
        "stores": [
            {"id": "g1", "name": "One", "city": "Guangzhou", "capacity": 60},
            {"id": "g2", "name": "Two", "city": "Guangzhou", "capacity": 30},
            {"id": "x1", "name": "Three", "city": "Xi'an", "capacity": 10},
        ],
    })
}

fn bad(changes: &[(&str, Value)]) -> Vec<(&'static str, Severity)> {
    let mut document = good();
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Object(map) if value.is_null() => drop(map.remove(key)),
            Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
            other => other[key.parse::<usize>().unwrap()] = value.clone(),
        }
    }
    let definition = Definition::from_json(document.to_string().as_bytes()).unwrap();
    let mut lines = Findings::of("sale s");
    check(&definition, NOW, &mut lines);
    without_passing(lines.end())
}

/// A sale that sells by a draw whose sign-up ends at this time of the day on which it opens at 01:00.
fn drawn(closes: &str, most: Value) -> Vec<(&'static str, Value)> {
    let closes = format!("2030-01-01T{closes}:00Z");
    vec![
        ("/sale/sells", json!("draw")),
        ("/sale/standby", json!(true)),
        ("/sale/standby_max", most),
        ("/signup", json!({"opens_at": "2029-12-01T00:00:00Z", "closes_at": closes})),
        ("/draw", json!({"commitment": "0".repeat(64), "beacon": "six digits of a notary"})),
    ]
}

#[test]
fn a_good_definition_passes() {
    assert_eq!(bad(&[]), []);
    // A model without packages is fine, and so is a package without a price or a limit.
    assert_eq!(bad(&[("/package/0/stock", json!(null)), ("/package/0/price", json!(0))]), []);
    assert_eq!(bad(&[("/stores/0/capacity", json!(null))]), []);
    let signup =
        json!({"opens_at": "2029-12-01T00:00:00Z", "closes_at": "2030-01-01T01:00:00Z", "required": true});
    assert_eq!(bad(&[("/signup", signup)]), []);
    assert_eq!(bad(&[("/sale/standby", json!(true)), ("/sale/standby_hold", json!("2h"))]), []);
    assert_eq!(bad(&drawn("00:50", json!(500))), []);
}

#[test]
fn every_unintended_value_is_reported() {
    use Severity::{Fail, Warn};
    let date = |day: &str| json!(format!("{day}T00:00:00Z"));
    let signup = |opens: &str, closes: &str| json!({"opens_at": date(opens), "closes_at": date(closes)});
    for (changes, check, verdict) in [
        (
            &[("/sale/opens_at", date("2029-12-01")), ("/sale/closes_at", date("2029-12-31"))][..],
            "dates",
            Fail,
        ),
        (&[("/sale/opens_at", date("2029-12-31"))], "dates", Warn),
        (&[("/sale/opens_at", date("2031-01-01")), ("/sale/closes_at", date("2031-02-01"))], "dates", Warn),
        (&[("/sale/rehearsal", json!(true))], "rehearsal", Warn),
        (&[("/sale/hold", json!("90s"))], "hold", Warn),
        (&[("/sale/hold", json!("24h")), ("/sale/closes_at", json!("2030-01-01T12:00:00Z"))], "hold", Warn),
        (&[("/sale/grace", json!("0s"))], "hold", Warn),
        (&[("/sale/per_buyer", json!(2)), ("/sale/attempts", json!(2))], "attempts", Warn),
        (&[("/model/0/stock", json!(0))], "stock", Warn),
        (&[("/model/0/stock", json!(0)), ("/model/1/stock", json!(0))], "stock", Fail),
        (&[("/model/0/stock", json!(null))], "stock", Warn),
        (&[("/sale/deposit", json!(1_001))], "prices", Fail),
        (&[("/model/0/price", json!(0)), ("/sale/deposit", json!(0))], "prices", Warn),
        (&[("/package/0/stock", json!(0))], "packages", Warn),
        (&[("/signup", signup("2029-12-01", "2030-02-01"))], "sign-up", Warn),
        (&[("/signup", signup("2030-02-01", "2030-03-01"))], "sign-up", Fail),
        (&[("/sale/standby", json!(true)), ("/sale/standby_hold", json!("3m"))], "standby", Warn),
        (&drawn("00:51", json!(500)), "draw", Warn),
        (&drawn("00:50", json!(null)), "draw-room", Warn),
        (&[("/stores", json!([]))], "stores", Warn),
        (&[("/stores/0/capacity", json!(59))], "stores", Fail),
        (&[("/stores/1/capacity", json!(0)), ("/stores/0/capacity", json!(90))], "cities", Warn),
        (&[("/stores/2/capacity", json!(0)), ("/stores/0/capacity", json!(90))], "cities", Warn),
    ] {
        assert_eq!(bad(changes), [(check, verdict)], "{changes:?}");
    }
    let none =
        [0, 1, 2].map(|n| (["/stores/0/capacity", "/stores/1/capacity", "/stores/2/capacity"][n], json!(0)));
    assert_eq!(bad(&none), [("stores", Fail)]);
}

#[test]
fn names_that_hide_stores_are_reported() {
    let mut document = good();
    document["stores"][1]["city"] = json!("GUANGZHOU");
    document["stores"][2]["city"] = json!("Xi'an\u{200b}");
    document["model"][0]["name"] = json!("A\u{a0}400");
    let definition = Definition::from_ledger(document.to_string().as_bytes()).unwrap();
    let mut lines = Findings::of("sale s");
    names(&definition, &mut lines);
    let lines = lines.end();
    let found: Vec<_> = lines.iter().map(|line| (line.verdict, line.found.as_str())).collect();
    let (odd, spellings) = (
        r#"with invisible characters, unusual white space or not in NFC: the name of model:a is "A\u{a0}400", the city of store:x1 is "Xi'an\u{200b}""#,
        "one city in several spellings: GUANGZHOU and Guangzhou",
    );
    assert_eq!(found, [(Severity::Warn, odd), (Severity::Warn, spellings)]);
}

#[test]
fn a_draw_names_what_its_entrants_take() {
    let found = |most| {
        let mut document = good();
        for (pointer, value) in drawn("00:50", most) {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[key] = value;
        }
        document["sale"].as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let definition = Definition::from_json(document.to_string().as_bytes()).unwrap();
        let mut lines = Findings::of("sale s");
        draw(&definition, &mut lines);
        lines.end().into_iter().map(|line| line.found).collect::<Vec<_>>()
    };
    let of = |queues: &str| {
        format!(
            "a million entrants take 163.1 MiB of Redis as sign-ups, {queues} as places in standby queues, and 7.6 MiB of each gateway"
        )
    };
    let ends = "sign-up ends 10 min before the opening".to_owned();
    assert_eq!(found(json!(500)), [ends.clone(), of("348.6 KiB")]);
    assert_eq!(found(json!(null)), [ends, of("340.5 MiB")]);
}

#[test]
fn a_finding_names_the_values() {
    let mut document = good();
    document["stores"][2]["capacity"] = json!(0);
    document["stores"][0]["capacity"] = json!(100);
    let definition = Definition::from_json(document.to_string().as_bytes()).unwrap();
    let mut lines = Findings::of("sale s");
    stores(&definition, &mut lines);
    let lines = lines.end();
    assert_eq!(lines[0].found, "3 in 2 cities, 130 slots");
    assert_eq!(lines[1].found, "cities without capacity: Xi'an");
}
