//! Tests the scenarios of buyers who sign up, enter a draw or wait in a queue: PASS with a gateway that keeps the contract,
//! and each fault of one that does not is found.

use serde_json::Value;
use testkit::cli::run;
use testkit::wait_for;

use crate::proxy::Proxy;
use crate::stage::{Run, Stage, definition};

/// Its SHA-256 is the commitment.
const REVEAL: &str = "a reveal of some thirty-two bytes";
const COMMITMENT: &str = "ba985c938ff302375999a2fabbffa99529d58c4856b1697861bc00a0cb7eb400";
const BRISK: [&str; 2] = ["--set", "buyers.think=[\"0s\",\"100ms\"]"];

fn from_now(seconds: i64) -> String {
    format!("{:.3}", jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds))
}

/// Four whites and two blacks, whose holds last as long as the tests are patient.
fn scarce(opens_in_s: i64) -> String {
    let text = definition(opens_in_s, true);
    let text = text.replace("stock = 60", "stock = 4").replace("stock = 40", "stock = 2");
    text.replace("hold = \"2m\"", "hold = \"5s\"").replace("\"5m\"", "\"5s\"").replace("\"10s\"", "\"1s\"")
}

/// The same, sold by a draw: sign-up begins soon, and lasts for so many seconds.
fn by_draw(sign_up_s: i64) -> String {
    let text = scarce(sign_up_s + 10).replacen("rehearsal = true", "rehearsal = true\nsells = \"draw\"", 1);
    let (before, rest) = text.split_once("[signup]").unwrap();
    let rest = rest.split_once("[[model]]").unwrap().1;
    let [opens_at, closes_at] = [4, 4 + sign_up_s].map(from_now);
    format!(
        "{before}[signup]\nopens_at = {opens_at}\ncloses_at = {closes_at}\n\n[draw]\ncommitment = \"{COMMITMENT}\"\n\
         beacon = \"six digits\"\n\n[[model]]{rest}"
    )
}

/// Draws as the operator does, once the entrants are fixed.
fn draw(stage: &Stage) {
    let reveal = stage.write("reveal", REVEAL);
    let url = stage.redis_url();
    let line = ["draw", "small", "--redis", &url, "--reveal", &reveal, "--beacon", "482913"];
    wait_for("it is drawn", || (run(&line).code == 0).then_some(())).unwrap();
}

/// Runs a draw day, with the operator's part.
fn draw_day(stage: &Stage, gateways: &str, more: &[&str]) -> Run {
    std::thread::scope(|scope| {
        scope.spawn(|| draw(stage));
        stage.run("draw-day", gateways, &[&BRISK, more].concat())
    })
}

fn items(run: &Run, kind: &str, name: &str) -> u64 {
    let verdict = run.verdict();
    let items = verdict["items"].as_array().unwrap().iter();
    let of = items.filter(|item| item["item"].as_str().unwrap().starts_with(kind));
    of.map(|item| item[name].as_u64().unwrap()).sum()
}

#[test]
fn buyers_sign_up_change_and_withdraw() {
    let stage = Stage::set(2);
    stage.apply(&definition(60, true));
    let often = ["--set", "signup={within=\"2s\",change=30,withdraw=30}", "--set", "buyers.twice=50"];
    let run = stage.run("signup", &stage.gateways(), &[&BRISK[..], &["--buyers", "60"], &often].concat());
    run.assert_passed();
    assert!(run.answered("signup") > 60 && run.answered("withdraw") > 0, "{}", run.text);
    assert!(run.answered("my-signup") > 0 && run.answered("reserve") == 0, "{}", run.text);
    let signed_up: u64 = stage.redis(&["HGET", "lg:{small}:state", "signed_up"]);
    assert!((1..60).contains(&signed_up), "some withdrew: {signed_up}");
}

#[test]
fn a_draw_day_sells_everything_in_the_order_of_the_draw() {
    let stage = Stage::set(2);
    stage.apply(&by_draw(6));
    // Nobody cancels; three of ten who get a hold let it expire.
    let day = [
        "--set",
        "signup={within=\"3s\",change=20,withdraw=10}",
        "--set",
        "standby={join=0,patience=\"60s\"}",
    ];
    let some = ["--set", "buyers.confirm=70", "--set", "buyers.cancel=0"];
    let run = draw_day(&stage, &stage.gateways(), &[&["--buyers", "40"], &day[..], &some].concat());
    run.assert_passed();
    assert!(run.answered("my-place") > 0 && run.answered("my-reservation") > 6, "{}", run.text);
    assert_eq!((items(&run, "model:", "total"), items(&run, "model:", "confirmed")), (6, 6), "{}", run.text);
}

#[test]
fn a_draw_day_without_a_draw_proves_nothing() {
    let stage = Stage::set(1);
    stage.apply(&by_draw(4));
    let run = stage.run("draw-day", &stage.gateways(), &["--buyers", "5", "--deadline", "12s"]);
    assert_eq!(run.code, 4, "{}", run.text);
    assert!(run.text.contains("nobody drew before the end: run `gateway draw`"), "{}", run.text);
}

#[test]
fn a_crowd_waits_for_what_comes_back() {
    let stage = Stage::set(2);
    stage.apply(&scarce(6));
    let crowd = "crowd={lead=\"5s\",at_opening=80,tail=\"2s\",looks_again=0}";
    let queue = ["--set", "standby={join=100,patience=\"60s\"}", "--set", "buyers.confirm=70"];
    let more = [&BRISK[..], &["--buyers", "40", "--set", crowd], &queue].concat();
    let run = stage.run("crowd", &stage.gateways(), &more);
    run.assert_passed();
    assert!(run.answered("join") > 0 && run.answered("my-reservation") > 0, "some are granted: {}", run.text);
    assert_eq!(items(&run, "model:", "confirmed"), 6, "all is sold in the end: {}", run.text);
}

#[test]
fn scenarios_with_sign_up_need_it_and_are_not_mixed_with_others() {
    let stage = Stage::set(1);
    let text = definition(-60, true);
    let without = text.split_once("[signup]").unwrap().0.to_owned();
    let models = text.split_once("[[model]]").unwrap().1;
    stage.apply(&format!("{without}[[model]]{models}"));
    let run = stage.run("signup", &stage.gateways(), &["--buyers", "5"]);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains("takes no sign-ups"), "{}", run.text);
    let mix = ["--buyers", "5", "--set", "mix={signup=1,spike=1}"];
    let run = stage.run("mix", &stage.gateways(), &mix);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains("play them in two runs"), "{}", run.text);
}

/// What buyers are shown of the resource that ends so is changed on the way: the run fails, and names the rule.
fn found(
    stage: &Stage,
    scenario: &str,
    end: &'static str,
    change: fn(&mut Value),
    rule: &str,
    more: &[&str],
) {
    let proxy = Proxy::before(&stage.gateways(), move |request, gateway| {
        let mut answer = gateway.answer(request)?;
        if request.path.ends_with(end) && matches!(answer.status, 200 | 201) {
            let mut shown = answer.json();
            change(&mut shown);
            answer.body = shown.to_string();
        }
        Some(answer)
    });
    let run = match scenario {
        "draw-day" => draw_day(stage, &proxy.url(), more),
        scenario => stage.run(scenario, &proxy.url(), more),
    };
    assert_eq!(run.code, 1, "{rule}: {}", run.text);
    assert!(run.text.contains(&format!("violation {rule}")), "{rule}: {}", run.text);
}

#[test]
fn what_is_shown_otherwise_of_a_draw_is_found() {
    let day = ["--buyers", "15", "--set", "signup={within=\"2s\",change=0,withdraw=0}"];
    let day = [&BRISK[..], &day, &["--set", "standby={join=0,patience=\"1s\"}"]].concat();
    let found_of = |end, change, rule| {
        let stage = Stage::set(1);
        stage.apply(&by_draw(5));
        found(&stage, "draw-day", end, change, rule, &day);
    };
    let rank = |shown: &mut Value| {
        if let Some(rank) = shown.get("rank").and_then(Value::as_u64) {
            shown["rank"] = (rank % 15 + 1).into();
        }
    };
    found_of("/signup", rank, "draw-follows");
    found_of("/draw", |shown| shown["seed"] = "00".repeat(32).into(), "draw-follows");
}

#[test]
fn what_is_shown_otherwise_of_a_sign_up_or_a_place_is_found() {
    let stage = Stage::set(1);
    stage.apply(&definition(60, true));
    let few =
        [&BRISK[..], &["--buyers", "5", "--set", "signup={within=\"1s\",change=0,withdraw=0}"]].concat();
    let number = |shown: &mut Value| shown["number"] = 999.into();
    found(&stage, "signup", "/signup", number, "sign-up-as-acknowledged", &few);
    let stage = Stage::set(1);
    stage.apply(&scarce(5));
    let crowd = ["--buyers", "20", "--set", "crowd={lead=\"1s\",at_opening=100,tail=\"1s\",looks_again=0}"];
    let crowd = [&BRISK[..], &crowd, &["--set", "standby={join=100,patience=\"2s\"}"]].concat();
    let position = |shown: &mut Value| {
        if shown["position"].is_u64() {
            shown["position"] = 999.into();
        }
    };
    found(&stage, "crowd", "/standby", position, "place-as-shown", &crowd);
}
