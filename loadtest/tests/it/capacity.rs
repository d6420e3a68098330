//! Tests the knee that `capacity` finds, and the run's own metrics.

use std::io::{BufRead, BufReader};

use serde_json::Value;
use testkit::gateway::{client, send};
use testkit::{block_on, wait_for};

use crate::stage::{Stage, definition};

/// Winners do nothing more, and all buyers accept a partial reservation.
const IDLE: [&str; 4] = ["--set", "buyers={confirm=0,cancel=0}", "--set", "buyers.accept_partial=100"];

#[test]
fn capacity_finds_the_rate_at_which_a_threshold_breaks() {
    let stage = Stage::set(1);
    stage.apply(
        &definition(-60, true).replace("stock = 60", "stock = 60000").replace("stock = 40", "stock = 40000"),
    );
    // A rate that breaks on any machine: 50 taps a second pass, the 51st is too many.
    let thresholds = "verdict.thresholds=[\"winners <= 50\"]";
    let line = ["--from", "40", "--step", "1s", "--launch", "1000/10s", "--set", thresholds];
    let run = stage.run("capacity", &stage.gateways(), &[&line[..], &IDLE].concat());
    assert_eq!(run.code, 0, "{}", run.text);
    let capacity: Value = serde_json::from_str(&run.report("capacity.json")).unwrap();
    let (held, broke) = (capacity["held"].as_f64().unwrap(), capacity["broke"].as_f64().unwrap());
    assert!(held <= 50.0 && 50.0 < broke && broke <= held * 1.05, "{capacity}");
    assert_eq!(capacity["needed"]["gateways"], 2, "100 taps a second, of which one takes half: {capacity}");
    assert_eq!((&capacity["result"], &capacity["unit"]), (&"KNEE_FOUND".into(), &"taps".into()));
    assert_eq!(capacity["identity"]["run_id"].as_str().map(str::len), Some(10), "{capacity}");
    assert_eq!(capacity["targets"][0]["url"], stage.gateways(), "{capacity}");
    for words in ["KNEE FOUND: between", "100 taps a second need 2 gateway(s)", "assumed"] {
        assert!(run.text.contains(words), "{words} is missing in {}", run.text);
    }
    let steps = capacity["steps"].as_array().unwrap();
    let broken = steps.iter().filter(|step| step["end"] == "broke").count();
    assert!(broken >= 2 && broken.is_multiple_of(2), "each broken rate was tried twice: {capacity}");
}

#[test]
fn capacity_is_found_for_reads_and_mixes_and_its_words_are_its_own() {
    let stage = Stage::set(1);
    stage.apply(
        &definition(-60, true).replace("stock = 60", "stock = 60000").replace("stock = 40", "stock = 40000"),
    );
    let capacity = |more: &[&str]| {
        let line = ["--from", "40", "--step", "1s", "--launch", "1000/10s"];
        let run = stage.run("capacity", &stage.gateways(), &[&line[..], &IDLE, more].concat());
        for word in ["PASS", "FAIL", "INVALID"] {
            assert!(!run.text.contains(word), "{}", run.text);
        }
        let capacity: Value = serde_json::from_str(&run.report("capacity.json")).expect(&run.text);
        (run, capacity)
    };
    let asked = ["--set", "verdict.thresholds=[\"request:look.sent <= 50\"]"];
    let (run, found) = capacity(&[&["--scenario", "look"], &asked[..]].concat());
    assert_eq!((run.code, &found["result"]), (0, &"KNEE_FOUND".into()), "{}", run.text);
    let (held, broke) = (found["held"].as_f64().unwrap(), found["broke"].as_f64().unwrap());
    assert!(held <= 50.0 && 50.0 < broke && broke <= held * 1.05, "{found}");
    assert!(run.text.contains("100 reads a second need 2 gateway(s)"), "{}", run.text);
    assert!(found["steps"][0]["requests"].as_f64() > Some(0.0), "{found}");
    assert!(!run.text.contains("Redis is not the limit"), "reads ask no Redis: {}", run.text);

    let mix = ["--scenario", "mix", "--set", "mix={look=3,spike=1}", "--up-to", "60"];
    let (run, found) = capacity(&mix);
    assert_eq!((run.code, &found["result"]), (4, &"KNEE_NOT_FOUND".into()), "{}", run.text);
    assert!(run.text.contains("KNEE NOT FOUND: 60 starts a second held, which is --up-to"), "{}", run.text);
    let step = &found["steps"][0];
    assert!(step["taps"].as_u64() > Some(0) && step["journeys_ms"]["count"].as_u64() > step["taps"].as_u64());
}

#[test]
fn a_run_serves_its_metrics_while_it_lasts() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let mut run =
        stage.start("look", &["--arrivals", "constant:50/s:20s", "--metrics-listen", "127.0.0.1:0"]);
    let mut lines = BufReader::new(run.stdout().unwrap()).lines();
    let address = lines.find_map(|line| Some(line.unwrap().split_once("metrics at http://")?.1.to_owned()));
    let address = address.expect("the address of the metrics is printed").replace("/metrics", "");
    // Goose prints a line of its own, which no test reads.
    std::thread::spawn(move || lines.for_each(drop));
    let metric = |text: &str, name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok())
    };
    let text = wait_for("the opening has come and looks are counted", || {
        let text = scrape(&address);
        let looks = metric(&text, "launchgate_loadtest_requests_total{name=\"look\",result=\"decided\"}")?;
        let moments = ["start", "opening"].map(|moment| {
            metric(&text, &format!("launchgate_loadtest_moment_timestamp_seconds{{moment=\"{moment}\"}}"))
        });
        (looks > 0.0 && moments.iter().all(Option::is_some)).then_some(text)
    })
    .unwrap();
    assert_eq!(
        metric(&text, "launchgate_loadtest_taps_total{scenario=\"spike\",outcome=\"won\"}"),
        Some(0.0),
        "{text}"
    );
    assert!(!text.contains("moment=\"end\""), "{text}");
}

fn scrape(address: &str) -> String {
    let reply = block_on(send(client().get(format!("http://{address}/metrics"))));
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text
}
