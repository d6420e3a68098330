//! Tests each scenario against gateways that keep the contract: PASS, and the scenario's events
//! happened.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use crate::proxy::Proxy;
use crate::stage::{Run, Stage, definition};

/// Short think times, and nobody waits in queues for long.
const BRISK: [&str; 4] =
    ["--set", "buyers.think=[\"0s\",\"100ms\"]", "--set", "standby={join=30,patience=\"2s\"}"];

fn stage(gateways: usize, opens_in_s: i64) -> Stage {
    let stage = Stage::set(gateways);
    stage.apply(&scarce(opens_in_s));
    stage
}

/// Six whites and four blacks.
fn scarce(opens_in_s: i64) -> String {
    definition(opens_in_s, true).replace("stock = 60", "stock = 6").replace("stock = 40", "stock = 4")
}

fn plenty() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    stage
}

/// All gateways of the stage; thinking is short.
fn passes(stage: &Stage, scenario: &str, more: &[&str]) -> Run {
    let run = stage.run(scenario, &stage.gateways(), &[&BRISK, more].concat());
    run.assert_passed();
    run
}

fn winners(run: &Run) -> u64 {
    run.verdict()["latency_ms"]["winners"]["count"].as_u64().unwrap()
}

/// Confirmed reservations, by the audit.
fn confirmed(run: &Run) -> u64 {
    let verdict = run.verdict();
    let items = verdict["items"].as_array().unwrap().iter();
    let models = items.filter(|item| item["item"].as_str().unwrap().starts_with("model:"));
    models.map(|item| item["confirmed"].as_u64().unwrap()).sum()
}

#[test]
fn a_gateway_in_tls_is_stormed_with_its_certificate_and_not_without() {
    let mut stage = Stage::set(0);
    stage.add_gateway_in_tls();
    stage.apply(&definition(-60, true));
    let load = ["--arrivals", "constant:100/s:1s"];
    let run = stage.run("look", &stage.gateways(), &load);
    assert_eq!(run.code, 3, "{}", run.text);
    assert!(run.text.contains("certificate"), "{}", run.text);
    let cert = stage.file("tls-cert");
    let trusting = [&load[..], &["--ca-file", cert.to_str().unwrap()]].concat();
    stage.run("look", &stage.gateways(), &trusting).assert_passed();
    let nothing = stage.write("nothing", "no certificate");
    let run = stage.run("look", &stage.gateways(), &[&load[..], &["--ca-file", &nothing]].concat());
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains("--ca-file"), "{}", run.text);
}

#[test]
fn a_crowd_looks_waits_taps_and_comes_back() {
    let stage = stage(2, 6);
    let crowd = "crowd={lead=\"5s\",at_opening=80,tail=\"2s\",looks_again=1}";
    let run = passes(&stage, "crowd", &["--buyers", "60", "--set", crowd]);
    assert!(run.answered("look") > 60, "they poll: {}", run.text);
    assert!(winners(&run) >= 10 && run.outcome("sold_out") > 0, "{}", run.text);
    let tapped = run.verdict()["t0"]["after_ms"]["count"].as_u64().unwrap();
    assert!((1..60).contains(&tapped), "some are there at the opening, some come later: {}", run.text);
    assert!(!run.notes().contains("no opening was tested"), "{}", run.text);
}

#[test]
fn customise_browses_amends_and_pays() {
    let stage = plenty();
    let run = passes(&stage, "customise", &["--buyers", "20", "--arrivals", "constant:40/s"]);
    assert!(run.answered("stores") > 0 && run.answered("amend") > 0, "{}", run.text);
    assert!(winners(&run) == 20 && confirmed(&run) == 20, "all pay: {}", run.text);
}

#[test]
fn abandon_sells_what_comes_back_to_a_second_wave() {
    let stage = Stage::set(1);
    let short =
        scarce(-60).replace("hold = \"2m\"", "hold = \"3s\"").replace("grace = \"10s\"", "grace = \"1s\"");
    stage.apply(&short);
    let run = passes(&stage, "abandon", &["--buyers", "40", "--arrivals", "constant:100/s"]);
    assert!(winners(&run) > 10, "more than there are at one time: {}", run.text);
    assert!(confirmed(&run) > 0 && run.outcome("sold_out") > 0, "{}", run.text);
}

#[test]
fn a_retry_storm_gives_up_and_asks_again() {
    let stage = stage(1, -60);
    // The first answer to each key comes too late for them.
    let seen = Mutex::new(HashSet::new());
    let slow = Proxy::before(&stage.gateways(), move |request, gateway| {
        let answer = gateway.answer(request);
        if request.is_tap() && seen.lock().unwrap().insert(request.key().to_owned()) {
            std::thread::sleep(Duration::from_secs(4));
        }
        answer
    });
    // Long enough for the other answers, on a machine that is slow, too.
    let storm = "retry-storm={patience=\"1s\",new_key=20}";
    let run =
        stage.run("retry-storm", &slow.url(), &[&BRISK[..], &["--buyers", "40", "--set", storm]].concat());
    run.assert_passed();
    let verdict = run.verdict();
    assert!(verdict["lost"]["no answer in time"].as_u64() >= Some(40), "{}", run.text);
    assert!(verdict["retries"].as_u64() > Some(0) && run.outcome("resolved") > 0, "{}", run.text);
    assert!(run.outcome("unknown") > 0, "some ask again with a new key: {}", run.text);
}

#[test]
fn bots_are_refused_and_limited() {
    let stage = stage(1, -60);
    let bots = "bots={connections=4,stale=10,forged=20,for=\"2s\"}";
    let run = passes(&stage, "bots", &["--buyers", "8", "--set", bots]);
    assert!(run.outcome_of("bots", "refused") > 0, "bad tokens: {}", run.text);
    assert!(run.outcome_of("bots", "limited") > 0, "{}", run.text);
    let won = run.outcome_of("bots", "won");
    assert!((1..=2).contains(&won), "two accounts, each may have one: {}", run.text);
    assert_eq!(run.outcome("won"), 0, "bots are not honest buyers: {}", run.text);
}

#[test]
fn a_soak_gives_back_what_it_takes() {
    let stage = plenty();
    let run = passes(&stage, "soak", &["--arrivals", "poisson:20/s:4s", "--set", "buyers.confirm=80"]);
    for name in ["look", "amend", "confirm", "cancel"] {
        assert!(run.answered(name) > 0, "{name}: {}", run.text);
    }
    assert_eq!(confirmed(&run), 0, "a paid reservation was cancelled: {}", run.text);
}

#[test]
fn looks_only_look() {
    let stage = plenty();
    let run = passes(&stage, "look", &["--arrivals", "constant:50/s:2s"]);
    assert_eq!(run.answered("look"), 100, "{}", run.text);
    assert_eq!((winners(&run), stage.journal_entries()), (0, 1), "{}", run.text);
}

#[test]
fn a_mix_has_all_of_them() {
    let stage = stage(2, 5);
    let more = [
        "--buyers",
        "60",
        "--set",
        "mix={spike=2,crowd=4,customise=2,retry-storm=2,bots=1,look=1}",
        "--set",
        "crowd={lead=\"2s\",at_opening=80,tail=\"1s\",looks_again=1}",
        "--set",
        "bots={connections=2,stale=10,forged=20,for=\"1s\"}",
        "--set",
        // Scaled to 60 of 150,000 buyers, at a thousandth at least.
        "arrivals={customise=\"constant:20000/s\",look=\"constant:20000/s\"}",
    ];
    let run = passes(&stage, "mix", &more);
    let verdict = run.verdict();
    for scenario in ["spike", "crowd", "customise", "retry-storm", "bots"] {
        assert!(verdict["scenarios"][scenario].is_object(), "{scenario}: {}", run.text);
    }
    assert!(verdict["scenario"].as_str().unwrap().starts_with("mix of bots 1, crowd 4"), "{}", run.text);
    assert!(winners(&run) + run.outcome_of("bots", "won") >= 10, "all are sold: {}", run.text);
}
