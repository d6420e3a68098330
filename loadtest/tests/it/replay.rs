//! Tests that recorded traffic is played at its times: a request log of a run of ours, and a HAR file.

use serde_json::{Value, json};

use crate::stage::{Run, Stage, definition};

/// Of a run, each line of its request log.
fn log(run: &Run) -> Vec<Value> {
    run.report("requests.ndjson").lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn count(lines: &[Value], name: &str) -> usize {
    lines.iter().filter(|line| line["name"] == name).count()
}

#[test]
fn a_run_is_recorded_and_played_again() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let more = [
        "--buyers",
        "12",
        "--arrivals",
        "constant:20/s",
        "--set",
        "buyers.think=[\"0s\",\"100ms\"]",
        "--set",
        "buyers.twice=0",
    ];
    let first = stage.run("customise", &stage.gateways(), &[&more[..], &["--request-log"]].concat());
    first.assert_passed();
    let recorded = log(&first);
    assert!(count(&recorded, "stores") > 0 && count(&recorded, "amend") > 0, "{}", first.text);
    assert_eq!(count(&recorded, "reserve"), 12, "{}", first.text);
    let file = first.dir.join("requests.ndjson");
    for secret in stage.secrets() {
        assert!(!first.report("requests.ndjson").contains(&secret), "the log has a secret");
    }

    let again =
        stage.run("replay", &stage.gateways(), &["--replay", file.to_str().unwrap(), "--request-log"]);
    again.assert_passed();
    let played = log(&again);
    for name in ["reserve", "stores", "amend", "confirm"] {
        assert_eq!(count(&played, name), count(&recorded, name), "{name}: {}", again.text);
    }
    // The same selections, each after the one that it came after; by other buyers.
    let bodies = |lines: &[Value]| -> Vec<Value> {
        let taps = lines.iter().filter(|line| line["name"] == "reserve");
        let mut taps: Vec<(i64, Value)> = taps
            .map(|tap| {
                (tap["buyer"].as_i64().unwrap(), serde_json::from_str(tap["body"].as_str().unwrap()).unwrap())
            })
            .collect();
        taps.sort_by_key(|(buyer, _)| *buyer);
        taps.into_iter().map(|(_, body)| body).collect()
    };
    assert_eq!(bodies(&played), bodies(&recorded));
    assert_eq!(again.verdict()["buyers"], 12);
    let starts: Vec<i64> = played
        .iter()
        .filter(|line| line["name"] == "reserve")
        .map(|line| line["at_us"].as_i64().unwrap())
        .collect();
    // The last one comes half a second after the first, however late that was.
    assert!(starts.iter().max() >= Some(&300_000), "at their times: {starts:?}");
}

#[test]
fn a_har_file_is_played_at_the_opening() {
    let stage = Stage::set(1);
    stage.apply(&definition(4, true));
    let file = stage.write("browser.har", &har("air-white"));
    let run = stage.run("replay", &stage.gateways(), &["--replay", &file, "--request-log"]);
    run.assert_passed();
    assert_eq!((run.outcome("won"), run.answered("cancel")), (1, 1), "{}", run.text);
    assert!(run.notes().contains("left out: GET /favicon.ico 1"), "{}", run.notes());
    let log = log(&run);
    let names: Vec<&str> = log.iter().map(|line| line["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["look", "reserve", "cancel"], "in their order");
    assert!(log[0]["at_us"].as_i64() < Some(0) && log[1]["at_us"].as_i64() >= Some(0), "{log:?}");

    // The file is what is compared, not what is played of it.
    let changed = stage.write("changed.har", &(har("air-white") + "\n"));
    let baseline = run.dir.to_str().unwrap();
    let against = stage.run("replay", &stage.gateways(), &["--replay", &changed, "--baseline", baseline]);
    assert_eq!(against.code, 2, "{}", against.text);
    assert!(against.text.contains("--replay: another recording"), "{}", against.text);

    let unknown = stage.write("other.har", &har("boat"));
    let refused = stage.run("replay", &stage.gateways(), &["--replay", &unknown]);
    assert_eq!(refused.code, 2, "{}", refused.text);
    assert!(refused.text.contains("asks for boat, which the sale does not have"), "{}", refused.text);
    let both = stage.run("replay", &stage.gateways(), &["--replay", &file, "--buyers", "5"]);
    assert_eq!(both.code, 2, "{}", both.text);
    assert!(both.text.contains("leave out --buyers and --arrivals"), "{}", both.text);
}

#[test]
fn who_taps_again_after_a_win_pays_for_the_win() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let (taps, model) = ("/v1/sales/car/reservations", json!({"model": "air-white"}));
    let text = json!({"log": {"version": "1.2", "entries": [
        entry("01.000", "POST", taps, model.clone(), json!({"id": "old"})),
        entry("01.500", "POST", taps, model, json!({"type": "/problems/purchase-limit"})),
        entry("02.000", "POST", "/v1/sales/car/reservations/old/confirm", json!({}), json!({"id": "old"})),
    ]}});
    let file = stage.write("twice.har", &text.to_string());
    let run = stage.run("replay", &stage.gateways(), &["--replay", &file]);
    run.assert_passed();
    let ends = [run.outcome("won"), run.outcome("purchase_limit"), run.answered("confirm")];
    assert_eq!(ends, [1, 1, 1], "{}", run.text);
}

/// A request of a browser, with a key of its own.
fn entry(second: &str, method: &str, path: &str, body: Value, answer: Value) -> Value {
    let text = |json: Value| json!({"mimeType": "application/json", "text": json.to_string()});
    json!({
        "startedDateTime": format!("2026-11-20T12:00:{second}Z"),
        "connection": "443",
        "request": {"method": method, "url": format!("https://cars.example{path}"), "postData": text(body),
            "headers": [{"name": "Idempotency-Key", "value": second}]},
        "response": {"status": 200, "content": text(answer)},
    })
}

/// A browser that looks, taps a second later, and cancels.
fn har(model: &str) -> String {
    let taps = "/v1/sales/car/reservations";
    json!({"log": {"version": "1.2", "entries": [
        entry("00.000", "GET", "/v1/sales/car", json!(null), json!({})),
        entry("00.100", "GET", "/favicon.ico", json!(null), json!({})),
        entry("01.000", "POST", taps, json!({"model": model}), json!({"id": "old"})),
        entry("01.500", "POST", "/v1/sales/car/reservations/old/cancel", json!(null), json!({"id": "old"})),
    ]}})
    .to_string()
}
