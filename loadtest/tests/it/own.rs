//! Tests a program with a scenario of its own: the example `my_scenario`.

use serde_json::json;

use crate::proxy::{Answer, Proxy};
use crate::stage::{OWN, Stage, definition};

/// Thresholds that do not depend on how fast this machine is.
const JUDGED: &str =
    "verdict.thresholds=[\"request:*.failed < 1\", \"step:*.undecided < 1%\", \"hesitant/won > 3\"]";
const BRISK: [&str; 6] = [
    "--set",
    "buyers.think=[\"0s\",\"50ms\"]",
    "--set",
    "crowd={lead=\"2s\",at_opening=80,tail=\"2s\",looks_again=1}",
    "--set",
    JUDGED,
];

#[test]
fn a_scenario_of_ones_own_is_played_proved_and_reported() {
    let stage = Stage::set(2);
    stage.apply(&definition(5, true));
    // Who thinks after the opening does not tap at it: that is no lateness of the generator.
    let skew = ["--set", "generator.skew=\"5s\"", "--set", "buyers.think=[\"5500ms\",\"6s\"]"];
    let more = [&BRISK[2..], &skew, &["--buyers", "30"]].concat();
    let run = stage.run(OWN, &stage.gateways(), &more);
    run.assert_passed();
    let verdict = run.verdict();
    assert_eq!(verdict["scenario"], OWN);
    let of = |name: &str| &verdict["requests"][name]["steps"]["done"];
    assert!(of("look").as_u64() >= Some(30), "{}", run.text);
    for name in ["amend", "confirm"] {
        assert_eq!(of(name), of("reserve"), "{name}: who wins changes and pays: {}", run.text);
    }
    assert!(verdict["journeys_ms"][OWN]["count"].as_u64() >= Some(30), "{}", run.text);
    // The proof has what was amended and paid: the ledger agrees.
    let confirmed: u64 =
        verdict["items"].as_array().unwrap().iter().map(|item| item["confirmed"].as_u64().unwrap()).sum();
    assert!(confirmed > 0, "{}", run.text);
    // Goose's tables have the transactions by their names, and the requests.
    let goose = run.report("goose.html");
    for name in ["hesitate", "buy", "arrive", "reserve (won)"] {
        assert!(goose.contains(name), "{name} is missing in goose's report");
    }
}

#[test]
fn an_answer_that_the_contract_does_not_allow_fails_a_scenario_of_ones_own() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let proxy = Proxy::before(&stage.gateways(), |request, gateway| {
        let answer = gateway.answer(request);
        if request.path.ends_with("/confirm") {
            Some(Answer::problem(500, "internal", json!({})))
        } else {
            answer
        }
    });
    let more = [&BRISK[..], &["--buyers", "8", "--tries", "2", "--arrivals", "constant:50/s"]].concat();
    let run = stage.run(OWN, &proxy.url(), &more);
    assert_eq!(run.code, 1, "{}", run.text);
    let verdict = run.text.lines().find(|line| line.starts_with("FAIL: ")).expect(&run.text);
    assert!(verdict.contains("contract 16×"), "{verdict}");
    assert!(run.text.contains("request:*.failed < 1: confirm 16, MISSED"), "{}", run.text);
}

#[test]
fn a_scenario_of_ones_own_has_a_weight_and_help() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let unknown = stage.run("spike", &stage.gateways(), &["--set", "mix.hesitant=1"]);
    assert_eq!(unknown.code, 2, "{}", unknown.text);
    assert!(
        unknown.text.contains("unknown scenario \"hesitant\", expected one of spike, crowd"),
        "{}",
        unknown.text
    );
    let help = stage.run_under(&[], OWN, &stage.gateways(), &["--help"]);
    assert_eq!(help.code, 0, "{}", help.text);
    for option in ["--buyers", "--arrivals", "--report", "--baseline"] {
        assert!(help.text.contains(option), "{option}: {}", help.text);
    }
}
