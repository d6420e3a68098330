//! Tests innocent faults: an answer lost on the way breaks no rule.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::through;
use crate::proxy::{Answer, Count, Headers, Proxy, Request};
use crate::stage::{Stage, definition};
use crate::together::together;

/// A third of these answers is lost after the gateway has given it, each in another way.
fn loses_a_third(of: fn(&Request) -> bool) -> impl Fn(&Request, &crate::proxy::Behind) -> Option<Answer> {
    let (asked, lost) = (Count::default(), Count::default());
    let last = Mutex::new(());
    move |request, gateway| {
        let answer = gateway.answer(request);
        if !of(request) || asked.next() % 3 != 2 {
            return answer;
        }
        let _one_at_a_time = last.lock().unwrap();
        match lost.next() % 3 {
            0 => None,
            1 => Some(Answer::problem(503, "outcome-unknown", serde_json::json!({"retry_after_ms": 1000})))
                .map(|answer| Answer { headers: answer.headers.with("retry-after", "1"), ..answer }),
            // The answer of a load balancer.
            _ => Some(Answer { status: 502, headers: Headers::default(), body: "Bad Gateway".to_owned() }),
        }
    }
}

#[test]
fn answers_that_are_lost_on_the_way_pass() {
    together!(
        answers_to_taps_that_are_lost_on_the_way_pass,
        answers_to_two_fingers_that_are_lost_when_stock_runs_out_pass,
        answers_to_amendments_and_payments_that_are_lost_on_the_way_pass,
        a_bad_network_before_two_gateways_passes,
        a_gateway_that_has_yet_to_read_the_ledger_is_waited_for,
    );
}

fn answers_to_taps_that_are_lost_on_the_way_pass() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let run = through(&stage, "spike", &["--buyers", "30"], loses_a_third(Request::is_tap));
    run.assert_passed();
    assert!(run.outcome("resolved") > 0 && run.verdict()["retries"].as_u64() >= Some(9), "{}", run.text);
    // One store is small.
    let decided = ["won", "resolved", "sold_out"].map(|name| run.outcome(name)).iter().sum::<u64>();
    assert_eq!(decided, 30, "{}", run.text);
}

fn answers_to_two_fingers_that_are_lost_when_stock_runs_out_pass() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true).replace("stock = 60", "stock = 8").replace("stock = 40", "stock = 4"));
    let more = ["--buyers", "40", "--set", "buyers.twice=100", "--set", "buyers.confirm=60"];
    let run = through(&stage, "spike", &more, loses_a_third(Request::is_tap));
    run.assert_passed();
    assert!(run.outcome("sold_out") > 0, "{}", run.text);
    let winners = run.verdict()["latency_ms"]["winners"]["count"].as_u64().unwrap();
    assert!(winners <= 12 && winners > 0, "{}", run.text);
}

fn answers_to_amendments_and_payments_that_are_lost_on_the_way_pass() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let more = ["--buyers", "12", "--arrivals", "constant:30/s"];
    let run = through(&stage, "customise", &more, loses_a_third(|request| request.method != "GET"));
    run.assert_passed();
    assert!(run.answered("amend") > 0 && run.answered("confirm") > 0, "{}", run.text);
    assert!(run.verdict()["lost"]["connection broken"].as_u64() > Some(0), "{}", run.text);
}

fn a_gateway_that_has_yet_to_read_the_ledger_is_waited_for() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    let asked = Arc::new(Count::default());
    let counts = Arc::clone(&asked);
    let run = through(&stage, "spike", &["--buyers", "3"], move |request, gateway| {
        let is_early = request.path.ends_with("/small") && counts.next() < 3;
        let not_yet = || Answer::problem(503, "overloaded", serde_json::json!({"retry_after_ms": 1000}));
        if is_early { Some(not_yet()) } else { gateway.answer(request) }
    });
    run.assert_passed();
    assert!(asked.next() >= 4, "{}", run.text);
}

/// A third of the calls with a token fails or is late: requests and answers are lost, or shed.
fn bad_network(gateway: &str, seed: u64) -> Proxy {
    let dice = Mutex::new(fastrand::Rng::with_seed(seed));
    Proxy::before(gateway, move |request, gateway| {
        // What is asked beforehand has no second try.
        if request.headers.get("authorization").is_none() || request.path.ends_with("/none") {
            return gateway.answer(request);
        }
        let (roll, pause) = {
            let mut dice = dice.lock().unwrap();
            (dice.u32(0..100), Duration::from_millis(dice.u64(0..1500)))
        };
        match roll {
            0..8 => None,
            8..18 => gateway.answer(request).filter(|_| false),
            18..24 => {
                std::thread::sleep(pause);
                gateway.answer(request)
            }
            24..30 => {
                let answer = gateway.answer(request);
                std::thread::sleep(pause);
                answer
            }
            30..34 => Some(shed()),
            _ => gateway.answer(request),
        }
    })
}

fn shed() -> Answer {
    let answer =
        Answer::problem(503, "temporary-reduced-capacity", serde_json::json!({"retry_after_ms": 100}));
    Answer { headers: answer.headers.with("retry-after", "1"), ..answer }
}

fn a_bad_network_before_two_gateways_passes() {
    let stage = Stage::set(2);
    let scarce = definition(4, true).replace("stock = 60", "stock = 16").replace("stock = 40", "stock = 9");
    // Holds run out meanwhile, and what comes back is sold again.
    stage.apply(
        &scarce.replace("hold = \"2m\"", "hold = \"2s\"").replace("grace = \"10s\"", "grace = \"1s\""),
    );
    let gateways = stage.gateways();
    let networks: Vec<Proxy> =
        gateways.split(',').zip(1..).map(|(url, seed)| bad_network(url, seed)).collect();
    let urls: Vec<String> = networks.iter().map(Proxy::url).collect();
    let more = [
        "--buyers",
        "80",
        "--timeout",
        "1s",
        "--set",
        "mix={spike=3,crowd=3,customise=3,retry-storm=3,bots=1}",
        "--set",
        "buyers={think=[\"0s\",\"500ms\"],twice=30,cancel=20}",
        "--set",
        "crowd={lead=\"1s\",at_opening=70,tail=\"1s\",looks_again=1}",
        "--set",
        "bots={connections=3,stale=10,forged=20,for=\"1s\"}",
        "--set",
        "retry-storm={patience=\"100ms\",new_key=30}",
        "--set",
        "arrivals.customise=\"constant:20000/s\"",
    ];
    let run = stage.run("mix", &urls.join(","), &more);
    run.assert_passed();
    assert!(run.outcome("resolved") > 0 && run.outcome("won") > 0, "{}", run.text);
    assert!(run.verdict()["lost"]["no answer in time"].as_u64() > Some(0), "{}", run.text);
}
