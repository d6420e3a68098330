//! Tests `loadtest` against a real gateway and redis-server.

#![allow(missing_docs, reason = "tests are named for what they show")]
#![allow(clippy::unwrap_used, reason = "a panic shows where a test failed")]

mod capacity;
mod comparison;
mod connections;
mod judged;
mod limits;
mod lost;
mod outputs;
mod own;
mod process;
mod proof;
mod proxy;
mod replay;
mod scenarios;
mod shards;
mod stage;
mod together;
mod transport;
mod verdicts;
mod waiting;

use stage::{Stage, definition};

#[test]
fn a_clean_launch_passes_and_is_written_down() {
    let stage = Stage::set(2);
    stage.apply(&definition(4, true));
    let run = stage.spike(&["--buyers", "300", "--set", "buyers.twice=100"]);
    assert_eq!(run.code, 0, "{}", run.text);
    assert_eq!(run.text.lines().rev().nth(1), Some("PASS"), "{}", run.text);

    let verdict = run.verdict();
    assert_eq!((&verdict["verdict"], &verdict["violations_total"]), (&"PASS".into(), &0.into()));
    let outcome = |name: &str| verdict["outcomes"][name].as_u64().unwrap();
    assert!(outcome("won") >= 100, "100 cars, 300 buyers: {}", run.text);
    assert!(outcome("sold_out") > 0, "{}", run.text);
    let notes = verdict["notes"].as_array().unwrap();
    assert!(notes.iter().all(|note| note.as_str().unwrap().contains("taps for 100 cars")), "{}", run.text);
    let stores = &verdict["stores"];
    let number = |name: &str| stores[name].as_i64().unwrap();
    assert_eq!(number("free") + number("held") + number("confirmed"), number("total"), "{stores}");
    assert!(run.report("goose.html").contains("<b>PASS</b>"));
    assert!(run.report("report.html").contains("<strong>PASS</strong>"));
    let files = [
        "report.html",
        "report.md",
        "verdict.json",
        "run-record.json",
        "goose.html",
        "goose.json",
        "seconds.csv",
    ];
    for secret in stage.secrets() {
        assert!(!run.text.contains(&secret));
        for file in files {
            assert!(!run.report(file).contains(&secret), "{file} has a secret");
        }
    }
}

#[test]
fn a_changed_counter_fails_the_run() {
    let stage = Stage::set(1);
    stage.apply(&definition(3, true));
    stage.redis::<()>(&["HINCRBY", "lg:{small}:stock", "model:air-black", "1"]);
    let run = stage.spike(&["--buyers", "200"]);
    assert_eq!(run.code, 1, "{}", run.text);
    assert!(run.text.contains("model:air-black drifts by 1"), "{}", run.text);
    let verdict = run.verdict();
    assert_eq!(verdict["verdict"], "FAIL");
    let rules: Vec<_> = verdict["violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|violation| violation["rule"].as_str().unwrap())
        .collect();
    assert!(rules.contains(&"audit-balanced"), "{rules:?}");
}
