//! Definitions with each slip that the rules let pass, before and after they are applied.

use serde_json::{Value, json};
use testkit::definition::{open, small, with};
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use super::DoctorFixture;
use crate::contract::cli::{TOML, files, text};

/// Without a field of a table.
pub fn without(mut definition: Value, table: &str, field: &str) -> Value {
    definition.pointer_mut(table).unwrap().as_object_mut().unwrap().remove(field);
    definition
}

/// With a capacity of the store that has none.
fn third(definition: Value, capacity: u64) -> Value {
    let store = json!({"id": "sh-1", "name": "Three", "city": "Shanghai", "capacity": capacity});
    with(definition, "/stores/2", store)
}

/// In so many seconds from now.
fn at(seconds: i64) -> Value {
    let at = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
    json!(jiff::Timestamp::from_second(at.as_second()).unwrap().to_string())
}

#[tokio::test]
async fn every_slip_of_a_definition_is_reported_once_it_is_applied() {
    const DAY: i64 = 86_400;
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let gateway = Gateway::start(&redis).await;
    let doctor = DoctorFixture::new(&redis);
    // A sale of its own each, opening tomorrow: `small` as it is would be open since long ago.
    let good = |id: &str| {
        let definition = with(small(), "/sale/id", json!(id));
        let definition = with(definition, "/sale/opens_at", at(DAY));
        let definition = with(definition, "/sale/closes_at", at(3 * DAY));
        with(definition, "/sale/rehearsal", json!(false))
    };
    open(&gateway, &good("well")).await;
    let findings = doctor.examine(&["--sale", "well"]);
    for check in
        ["ledger", "dates", "hold", "attempts", "stock", "prices", "packages", "stores", "controls", "audit"]
    {
        assert_eq!(findings.verdicts("sale well", check), ["ok"], "{check}: {findings:#?}");
    }
    for (n, (change, check, verdict, found)) in [
        (with(good("-"), "/sale/opens_at", at(-60)), "dates", "warn", "it has been open for 1 min"),
        (
            with(with(good("-"), "/sale/opens_at", at(-120)), "/sale/closes_at", at(-60)),
            "dates",
            "fail",
            "it was over",
        ),
        (
            with(with(good("-"), "/sale/opens_at", at(200 * DAY)), "/sale/closes_at", at(201 * DAY)),
            "dates",
            "warn",
            "opens in 199 d",
        ),
        (with(good("-"), "/sale/rehearsal", json!(true)), "rehearsal", "warn", "rehearsal = true"),
        (with(good("-"), "/sale/hold", json!("60s")), "hold", "warn", "lasts 1 min"),
        (with(good("-"), "/sale/grace", json!("0s")), "hold", "warn", "0 ms late"),
        (with(good("-"), "/sale/attempts", json!(1)), "attempts", "warn", "1 a buyer, with 1 attempts"),
        (with(good("-"), "/model/1/stock", json!(0)), "stock", "warn", "black"),
        (
            with(with(good("-"), "/model/0/stock", json!(0)), "/model/1/stock", json!(0)),
            "stock",
            "fail",
            "no model has stock",
        ),
        (without(good("-"), "/model/0", "stock"), "stock", "warn", "without a limit: white"),
        (
            with(good("-"), "/sale/deposit", json!(5_000_000)),
            "prices",
            "fail",
            "more than the price of white",
        ),
        (
            with(with(good("-"), "/model/0/price", json!(0)), "/sale/deposit", json!(0)),
            "prices",
            "warn",
            "white",
        ),
        (with(good("-"), "/package/0/stock", json!(0)), "packages", "warn", "cover"),
        (with(good("-"), "/stores", json!([])), "stores", "warn", "there are none"),
        (third(good("-"), 9), "stores", "fail", "99 slots are fewer than the 100 cars"),
        (third(with(good("-"), "/stores/0/capacity", json!(100)), 0), "cities", "warn", "Shanghai"),
        (with(good("-"), "/stores/1/capacity", json!(0)), "cities", "warn", "gz-2"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("slip-{n}");
        let definition = with(change, "/sale/id", json!(id));
        let reply = testkit::definition::apply(&gateway, &definition).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let findings = doctor.examine(&["--sale", &id]);
        findings.has(&format!("sale {id}"), check, verdict, found);
    }
}

#[tokio::test]
async fn a_file_is_held_against_what_is_applied() {
    let redis = Redis::start_with(&["--maxmemory", "256mb"]);
    let gateway = Gateway::start(&redis).await;
    let doctor = DoctorFixture::new(&redis);
    let dir = files(TOML);
    let file = text(dir.path(), "sale.toml");
    let look = || doctor.examine(&["--definition", &file]);
    look().has("sale small", "ledger", "fail", "no such sale");
    let applied = testkit::cli::run(&["sale", "apply", &file, "--redis", &redis.url()]);
    assert_eq!(applied.code, 0, "{applied:?}");
    testkit::definition::known(&gateway, "small").await;
    look().has("sale small", "file", "ok", "equals the applied definition");
    std::fs::write(&file, TOML.replace("stock = 60", "stock = 61")).unwrap();
    look().has("sale small", "file", "fail", "differs from the applied definition");
    // Every mistake of a file that can't be applied, each with its line.
    std::fs::write(&file, TOML.replace("\"15m\"", "\"soon\"").replace("\"CNY\"", "7")).unwrap();
    let findings = look();
    let area = format!("file {file}");
    assert_eq!(findings.verdicts(&area, "definition"), ["fail", "fail"], "{findings:#?}");
    assert!(findings.found(&area, "definition").contains("sale.toml:"), "{findings:#?}");
    let findings = doctor.examine(&["--definition", "/nowhere/sale.toml"]);
    findings.has("file /nowhere/sale.toml", "definition", "fail", "can't be read");
    // Also where Redis can't be asked.
    std::fs::write(&file, TOML).unwrap();
    let findings = DoctorFixture::at("unix:/nowhere/s").examine(&["--definition", &file]);
    assert_eq!(findings.code, 3);
    findings.has(&area, "rehearsal", "warn", "rehearsal = true");
}
