//! Tests that every request and every step is judged by the thresholds of the built-in profile: gateways whose reads,
//! payments or changes fail, get lost or are refused end in FAIL, with the sentence that names the request.

use std::process::Command;
use std::sync::LazyLock;

use serde_json::json;
use testkit::cli::output;

use crate::proxy::{Answer, Behind, Count, Proxy, Request};
use crate::stage::{Run, Stage, definition};
use crate::together::together;

/// The thresholds of the built-in profile that do not depend on how fast this machine is.
static BUILT_IN: LazyLock<String> = LazyLock::new(|| {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.arg("profile");
    let profile: toml::Table = toml::from_str(&output(command).unwrap()).unwrap();
    let all = profile["verdict"]["thresholds"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let counted: Vec<&str> = all.filter(|text| !text.ends_with("ms")).collect();
    assert!(counted.len() > 5, "{counted:?}");
    format!("verdict.thresholds={counted:?}")
});

/// More than the checks before the load need.
const READS_BEFORE: usize = 30;

fn plenty() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    stage
}

/// Runs a scenario through a proxy with this rule, with the built-in thresholds; buyers are brisk and give up soon.
fn judged<R>(stage: &Stage, scenario: &str, more: &[&str], rule: R) -> Run
where
    R: Fn(&Request, &Behind) -> Option<Answer> + Send + Sync + 'static,
{
    let proxy = Proxy::before(&stage.gateways(), rule);
    let usual = ["--set", &BUILT_IN, "--set", "buyers.think=[\"0s\",\"50ms\"]", "--tries", "2"];
    stage.run(scenario, &proxy.url(), &[&usual, more].concat())
}

/// The last line but one is FAIL with these words.
fn assert_fails(run: &Run, words: &[&str]) {
    assert_eq!(run.code, 1, "{}", run.text);
    let verdict = run.text.lines().find(|line| line.starts_with("FAIL: ")).expect(&run.text);
    for words in words {
        assert!(verdict.contains(words), "{words:?} is missing in {verdict}");
    }
}

fn shed() -> Answer {
    let answer = Answer::problem(503, "temporary-reduced-capacity", json!({"retry_after_ms": 10}));
    Answer { headers: answer.headers.with("retry-after", "1"), ..answer }
}

fn limited() -> Answer {
    let answer = Answer::problem(429, "quota-exceeded", json!({"retry_after_ms": 10}));
    Answer { headers: answer.headers.with("retry-after", "1"), ..answer }
}

/// 0 while the sale is read before the load, then 1, 2, …
fn after_checks(looks: &Count) -> usize {
    looks.next().saturating_sub(READS_BEFORE)
}

fn is_look(request: &Request) -> bool {
    request.method == "GET" && request.path.ends_with("/sales/small")
}

#[test]
fn a_launch_with_a_broken_step_fails() {
    together!(
        payments_that_are_shed_fail_the_run,
        payments_that_are_lost_fail_the_run,
        payments_that_are_refused_without_a_reason_do,
        changes_and_pages_that_fail_do,
        reads_that_are_mostly_broken_do,
        pages_without_a_sale_do,
        reads_that_are_lost_do,
        reads_that_a_forgotten_limit_refuses_do,
        taps_that_their_clients_gave_up_do,
        taps_that_are_all_shed_do,
        an_honest_launch_passes,
        thresholds_that_had_nothing_to_judge_prove_nothing,
    );
}

const PAYING: [&str; 6] = ["--buyers", "12", "--set", "buyers.confirm=100", "--set", "buyers.cancel=0"];

fn payments_that_are_shed_fail_the_run() {
    let stage = plenty();
    let run = judged(&stage, "spike", &PAYING, |request, gateway| {
        if request.path.ends_with("/confirm") { Some(shed()) } else { gateway.answer(request) }
    });
    assert_fails(&run, &["step:*.undecided < 1% expected, measured confirm 100.00 % (12 of 12)"]);
    let confirm = &run.verdict()["requests"]["confirm"];
    assert_eq!((&confirm["shed"], &confirm["by_status"]["503"]), (&json!(24), &json!(24)), "{}", run.text);
    assert_eq!(confirm["steps"], json!({"done": 0, "refused": 0, "undecided": 12}));
    assert!(
        run.text.contains("request   confirm: 24 sent, 24 shed, 12 steps undecided; p50"),
        "{}",
        run.text
    );
    assert!(run.report("report.md").contains("| confirm | 24 | 0 | 0 | 24 | 0 | 12 |"), "{}", run.text);
}

fn payments_that_are_lost_fail_the_run() {
    let stage = plenty();
    let run = judged(&stage, "spike", &PAYING, |request, gateway| {
        if request.path.ends_with("/confirm") { None } else { gateway.answer(request) }
    });
    assert_fails(
        &run,
        &["request:*.lost < 1% expected, measured confirm 100.00 %", "step:*.undecided < 1%", "confirm"],
    );
    let confirm = &run.verdict()["requests"]["confirm"];
    assert_eq!((&confirm["answered"], &confirm["lost"]), (&json!(0), &confirm["sent"]), "{}", run.text);
}

fn payments_that_are_refused_without_a_reason_do() {
    for (name, words) in [
        ("reservation-not-held", "but the hold could not have ended by then"),
        ("payment-conflict", "but the ledger has no payment"),
    ] {
        let stage = plenty();
        let run = judged(&stage, "spike", &PAYING, move |request, gateway| {
            let refusal = || Answer::problem(409, name, json!({"state": "expired", "version": 1}));
            if request.path.ends_with("/confirm") { Some(refusal()) } else { gateway.answer(request) }
        });
        assert_fails(&run, &["steps-as-acknowledged 12×"]);
        assert!(run.text.contains(words), "{}", run.text);
    }
}

fn changes_and_pages_that_fail_do() {
    let stage = plenty();
    let run = judged(&stage, "customise", &["--buyers", "12"], |request, gateway| {
        if request.method == "PATCH" {
            return Some(shed());
        }
        let answer = gateway.answer(request)?;
        let is_page = request.path.contains("available=true");
        Some(if is_page { Answer::problem(500, "internal", json!({})) } else { answer })
    });
    assert_fails(&run, &["request:*.failed < 1%", "stores 100.00 %", "amend 100.00 %", "status:500 < 1"]);
}

fn reads_that_are_mostly_broken_do() {
    let (stage, looks) = (plenty(), Count::default());
    let run = judged(&stage, "look", &["--arrivals", "constant:100/s:1s"], move |request, gateway| {
        let is_broken = !after_checks(&looks).is_multiple_of(10);
        if is_look(request) && is_broken {
            Some(Answer::problem(500, "internal", json!({})))
        } else {
            gateway.answer(request)
        }
    });
    assert_fails(&run, &["request:*.failed < 1% expected, measured look ", "status:500 < 1"]);
}

fn pages_without_a_sale_do() {
    for page in
        [json!({}), json!({"error": "maintenance"}), json!({"id": "other", "phase": "open", "models": []})]
    {
        let (stage, looks) = (plenty(), Count::default());
        let run = judged(&stage, "look", &["--arrivals", "constant:50/s:1s"], move |request, gateway| {
            let answer = gateway.answer(request)?;
            let is_broken = is_look(request) && answer.status == 200 && after_checks(&looks) > 0;
            Some(if is_broken { Answer { body: page.to_string(), ..answer } } else { answer })
        });
        assert_fails(&run, &["request:*.failed < 1% expected, measured look "]);
    }
}

fn reads_that_are_lost_do() {
    let (stage, looks) = (plenty(), Count::default());
    let run = judged(&stage, "look", &["--arrivals", "constant:100/s:1s"], move |request, gateway| {
        if is_look(request) && !after_checks(&looks).is_multiple_of(2) {
            None
        } else {
            gateway.answer(request)
        }
    });
    assert_fails(&run, &["request:*.lost < 1% expected, measured look "]);
    let look = &run.verdict()["requests"]["look"];
    let count = |name: &str| look[name].as_u64().unwrap();
    assert!(count("lost") > 0 && count("sent") == count("answered") + count("lost"), "{look}");
    assert_eq!(look["latency_ms"]["sent"]["count"], look["sent"], "a lost one has a latency");
}

fn reads_that_a_forgotten_limit_refuses_do() {
    let (stage, looks) = (plenty(), Count::default());
    let run = judged(&stage, "look", &["--arrivals", "constant:100/s:1s"], move |request, gateway| {
        if is_look(request) && !after_checks(&looks).is_multiple_of(4) {
            Some(limited())
        } else {
            gateway.answer(request)
        }
    });
    assert_fails(&run, &["request:*.limited < 1% expected, measured look "]);
}

fn taps_that_their_clients_gave_up_do() {
    let (stage, taps) = (plenty(), Count::default());
    // Half of the taps are answered too late for their clients; the gateway has decided them.
    let run = judged(&stage, "retry-storm", &["--buyers", "20"], move |request, gateway| {
        let answer = gateway.answer(request);
        if request.is_tap() && taps.next().is_multiple_of(2) {
            std::thread::sleep(std::time::Duration::from_secs(2));
        }
        answer
    });
    assert_fails(&run, &["request:*.lost < 1% expected, measured reserve "]);
    let reserve = &run.verdict()["requests"]["reserve"]["latency_ms"];
    let p99 = |of: &str| reserve[of]["p99"].as_f64().unwrap();
    assert!(p99("sent") >= 295.0, "what was given up counts: {reserve}");
}

fn taps_that_are_all_shed_do() {
    let stage = plenty();
    let run = judged(&stage, "spike", &["--buyers", "12"], |request, gateway| {
        if request.is_tap() { Some(shed()) } else { gateway.answer(request) }
    });
    assert_fails(&run, &["shed < 1% expected, measured 100.00 % (12 of 12)", "step:*.undecided < 1%"]);
}

fn an_honest_launch_passes() {
    let stage = plenty();
    let patient = "retry-storm={patience=\"20s\",new_key=0}";
    let short = "bots={connections=4,stale=10,forged=20,for=\"1s\"}";
    for scenario in ["spike", "customise", "retry-storm", "bots"] {
        let more = ["--buyers", "12", "--set", patient, "--set", short];
        judged(&stage, scenario, &more, |request, gateway| gateway.answer(request)).assert_passed();
    }
    for scenario in ["look", "soak"] {
        let more = ["--arrivals", "constant:20/s:1s"];
        judged(&stage, scenario, &more, |request, gateway| gateway.answer(request)).assert_passed();
    }
}

fn thresholds_that_had_nothing_to_judge_prove_nothing() {
    let stage = plenty();
    let more = ["--buyers", "6", "--set", "verdict.thresholds=[\"soak/won < 1\", \"bots/shed < 1%\"]"];
    let run = judged(&stage, "spike", &more, |request, gateway| gateway.answer(request));
    assert_eq!(run.code, 4, "{}", run.text);
    assert!(run.text.contains("INVALID: none of the thresholds had anything to judge"), "{}", run.text);
}
