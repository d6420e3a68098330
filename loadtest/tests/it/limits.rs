//! Tests who was the limit: what the generator can't do is INVALID, what the server does not do is FAIL.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Signal, wait_for};

use crate::proxy::{Answer, Count, Proxy};
use crate::stage::{Run, Stage, definition};
use crate::together::together;

fn open(gateways: usize) -> Stage {
    let stage = Stage::set(gateways);
    stage.apply(&definition(-60, true));
    stage
}

/// The last line but one has this word, and these words.
fn assert_ends(run: &Run, (code, word): (i32, &str), words: &[&str]) {
    assert_eq!(run.code, code, "{}", run.text);
    assert_eq!(run.verdict()["verdict"], word, "{}", run.text);
    let last = run.text.lines().rev().nth(1).unwrap();
    assert!(last.starts_with(&format!("{word}: ")), "{}", run.text);
    for words in words {
        assert!(last.contains(words), "{words:?} is missing in {last}");
    }
}

const FAIL: (i32, &str) = (1, "FAIL");
const INVALID: (i32, &str) = (4, "INVALID");

#[test]
fn the_limit_is_named_as_what_it_is() {
    together!(
        a_queue_of_the_generator_is_not_the_servers_fault,
        a_stalled_server_is_not_the_generators_fault,
        a_stalled_server_that_fills_all_connections_is_not_either,
        a_stall_that_an_earlier_step_absorbs_is_not_hidden,
        the_spread_of_the_opening_is_the_generators,
        what_a_server_sheds_fails_in_every_scenario,
        a_threshold_that_can_t_be_met_ends_the_run,
        a_run_that_keeps_its_thresholds_is_not_ended,
    );
}

fn a_queue_of_the_generator_is_not_the_servers_fault() {
    let stage = open(1);
    // Quick by itself, but 400 taps over 30 connections wait for each other.
    let slow = Proxy::before(&stage.gateways(), |request, gateway| {
        if request.is_tap() {
            std::thread::sleep(Duration::from_millis(50));
        }
        gateway.answer(request)
    });
    let limits = ["--set", "generator.late_share=1", "--set", "verdict.thresholds=[\"losers.p99 < 250ms\"]"];
    let more = [&limits[..], &["--buyers", "400", "--connections", "30"]].concat();
    let run = stage.run("spike", &slow.url(), &more);
    assert_ends(&run, INVALID, &["waited more than 20 ms for a connection of this process", "--connections"]);
    assert_eq!(run.verdict()["thresholds"][0]["met"], false, "{}", run.text);
}

/// Runs a scenario at a gateway that stops for two seconds; a fifth of the starts may be late by the generator's fault.
fn stalled(stage: &Stage, scenario: &str, more: &[&str]) -> Run {
    let looks = Arc::new(Count::default());
    let counted = Arc::clone(&looks);
    let proxy = Proxy::before(&stage.gateways(), move |request, gateway| {
        counted.next();
        gateway.answer(request)
    });
    let limits = [
        "--set",
        "generator={late=\"250ms\",late_share=20}",
        "--set",
        "verdict.thresholds=[\"journey.p99 < 250ms\", \"winners.p99 < 250ms\"]",
        "--set",
        "buyers.think=[\"0s\",\"100ms\"]",
        "--arrivals",
        "constant:50/s:6s",
    ];
    let more = [&limits[..], more].concat();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| stage.run(scenario, &proxy.url(), &more));
        wait_for("looks are answered", || (looks.so_far() > 60).then_some(())).unwrap();
        stage.signal(0, Signal::STOP);
        std::thread::sleep(Duration::from_secs(2));
        stage.signal(0, Signal::CONT);
        running.join().unwrap()
    })
}

fn a_stalled_server_is_not_the_generators_fault() {
    let stage = open(1);
    let run = stalled(&stage, "look", &[]);
    assert_ends(&run, FAIL, &["journey.p99 < 250ms expected, measured"]);
}

/// The look before the tap waits for the server; the tap is counted from the buyer's arrival all the same.
fn a_stall_that_an_earlier_step_absorbs_is_not_hidden() {
    let stage = Stage::set(1);
    let plenty =
        definition(-60, true).replace("stock = 60", "stock = 6000").replace("stock = 40", "stock = 4000");
    stage.apply(&plenty);
    let run = stalled(&stage, "soak", &["--set", "buyers.accept_partial=100"]);
    assert_ends(&run, FAIL, &["journey.p99 < 250ms expected", "winners.p99 < 250ms expected, measured"]);
    let winners = run.verdict()["latency_ms"]["winners"]["p99"].as_f64().unwrap();
    assert!(winners > 1_000.0, "{}", run.text);
    let peak = run
        .report("seconds.csv")
        .lines()
        .skip(1)
        .filter_map(|row| row.rsplit(',').next()?.parse::<f64>().ok())
        .fold(0.0, f64::max);
    assert!(peak > 1_000.0, "the seconds show the stop as a peak: {}", run.report("seconds.csv"));
}

fn a_stalled_server_that_fills_all_connections_is_not_either() {
    let stage = open(1);
    let run = stalled(&stage, "look", &["--connections", "10"]);
    assert_ends(&run, FAIL, &["journey.p99 < 250ms expected, measured"]);
    let lateness = run.verdict()["arrivals"]["lateness_ms"]["max"].as_f64().unwrap();
    assert!(lateness > 500.0, "starts waited for the server, and that is shown: {}", run.text);
}

fn the_spread_of_the_opening_is_the_generators() {
    let stage = open(1);
    let run = stage.spike(&["--buyers", "20", "--set", "generator.skew=1us"]);
    assert_ends(&run, INVALID, &["from the first to the last tap of the opening it took", "--shard"]);
    let run =
        stage.spike(&["--buyers", "20", "--set", "verdict.thresholds=[\"t0_skew < 1us\", \"wrong < 1\"]"]);
    assert_ends(&run, INVALID, &["t0_skew < 1us expected, measured", "--shard"]);
    assert_eq!(run.verdict()["thresholds"][0]["fault"], "generator", "{}", run.text);
}

fn shed() -> Answer {
    let answer = Answer::problem(503, "temporary-reduced-capacity", json!({"retry_after_ms": 10}));
    Answer { headers: answer.headers.with("retry-after", "1"), ..answer }
}

fn what_a_server_sheds_fails_in_every_scenario() {
    let stage = open(1);
    let taps = Proxy::before(&stage.gateways(), |request, gateway| {
        if request.is_tap() { Some(shed()) } else { gateway.answer(request) }
    });
    let brisk = ["--tries", "2", "--set", "buyers.think=[\"0s\",\"50ms\"]"];
    let crowd = ["--set", "crowd={lead=\"1s\",at_opening=50,tail=\"1s\",looks_again=0}"];
    let bots = ["--set", "bots={connections=4,stale=10,forged=20,for=\"1s\"}"];
    for scenario in ["spike", "crowd", "customise", "retry-storm", "soak", "bots"] {
        let more = [&brisk[..], &crowd, &bots, &["--buyers", "8"]].concat();
        let more =
            if scenario == "soak" { [&more[..], &["--arrivals", "constant:20/s"]].concat() } else { more };
        let run = stage.run(scenario, &taps.url(), &more);
        assert_ends(&run, FAIL, &["all of", "taps were shed"]);
    }
    let looks = Count::default();
    let reads = Proxy::before(&stage.gateways(), move |request, gateway| {
        let is_of_the_load = request.path.ends_with("/sales/small") && looks.next() > 30;
        if is_of_the_load { Some(shed()) } else { gateway.answer(request) }
    });
    let asked =
        ["--set", "verdict.thresholds=[\"step:*.undecided < 1%\"]", "--arrivals", "constant:100/s:1s"];
    let run = stage.run("look", &reads.url(), &asked);
    assert_ends(&run, FAIL, &["step:*.undecided < 1% expected, measured look"]);
}

fn a_threshold_that_can_t_be_met_ends_the_run() {
    let (stage, looks) = (open(1), Count::default());
    let broken = Proxy::before(&stage.gateways(), move |request, gateway| {
        let is_broken = request.path.ends_with("/sales/small") && looks.next() > 60;
        if is_broken { Some(Answer::problem(500, "internal", json!({}))) } else { gateway.answer(request) }
    });
    // Two minutes, if it is not ended.
    let more = [
        "--abort-on-fail",
        "--arrivals",
        "constant:20/s:2m",
        "--set",
        "verdict.thresholds=[\"status:500 < 1\"]",
    ];
    let run = stage.run("look", &broken.url(), &more);
    let early = "ended early by --abort-on-fail: status:500 < 1 could not be met any more";
    assert_ends(&run, FAIL, &["status:500 < 1 expected, measured", early]);
    assert!(run.verdict()["arrivals"]["unsent"].as_u64() > Some(100), "{}", run.text);
    assert!(
        run.notes().contains("ended early by --abort-on-fail") && !run.notes().contains("by hand"),
        "{}",
        run.text
    );
    assert!(run.report("report.html").contains("<strong>FAIL</strong>"));
    // The ledger and what was run with are in the record: a merge comes to the same.
    let again = stage.merge(&[&run], &[]);
    assert_ends(&again, FAIL, &[early]);
    // Other thresholds don't bring back what is missing.
    let other = stage.merge(&[&run], &["--set", "verdict.thresholds=[\"request:look > 1\"]"]);
    assert_ends(&other, INVALID, &["ended early by --abort-on-fail; what had not started is missing"]);
    let against = stage.merge(&[&run], &["--baseline", run.dir.to_str().unwrap()]);
    assert_eq!(against.code, 2, "{}", against.text);
    assert!(against.text.contains("is not a whole run: --abort-on-fail ended it early (status:500 < 1)"));
}

fn a_run_that_keeps_its_thresholds_is_not_ended() {
    let stage = open(1);
    let asked = "verdict.thresholds=[\"status:500 < 1\", \"won > 15\", \"request:*.failed < 1%\"]";
    let more = ["--abort-on-fail", "--arrivals", "constant:10/s:3s", "--set", asked];
    let run = stage.spike(&more);
    run.assert_passed();
    assert_eq!(run.outcome("won"), 30, "{}", run.text);
    let part = stage.spike(&["--abort-on-fail", "--shard", "1/2", "--seed", "1"]);
    assert_eq!(part.code, 2, "{}", part.text);
    assert!(part.text.contains("--shard"), "{}", part.text);
}

#[test]
fn the_loss_of_an_ops_listener_is_survived() {
    let stage = open(2);
    let (gateway, entries) = (stage.gateway(1), stage.journal_entries());
    let listeners = format!("{},{}", stage.ops_of(0), stage.ops_of(1));
    let more = ["--ops", &listeners, "--buyers", "60", "--arrivals", "constant:20/s"];
    // The one that is asked for the ledger first is killed.
    let run = std::thread::scope(|scope| {
        let running = scope.spawn(|| stage.run("soak", gateway, &more));
        wait_for("there is load", || (stage.journal_entries() > entries).then_some(())).unwrap();
        stage.signal(0, Signal::KILL);
        running.join().unwrap()
    });
    run.assert_passed();
    let targets = run.verdict()["targets"].as_array().unwrap().clone();
    let listeners: Vec<&Value> = targets.iter().map(|target| &target["listener"]).collect();
    assert_eq!(listeners, ["public", "ops", "ops"], "{targets:?}");
    for target in &targets {
        assert_eq!(target["version"], env!("CARGO_PKG_VERSION"), "{targets:?}");
        assert_eq!(target["durability"], "none", "{targets:?}");
    }
}

#[test]
fn all_gateways_are_checked_before_the_load() {
    let stage = open(1);
    let refusing = |path: &'static str, url: &str| {
        Proxy::before(url, move |request, gateway| {
            let is_refused = request.path.contains(path);
            if is_refused {
                Some(Answer::problem(401, "unauthenticated", json!({})))
            } else {
                gateway.answer(request)
            }
        })
    };
    let other = refusing("/reservations/none", &stage.gateways());
    let both = format!("{},{}", stage.gateways(), other.url());
    let run = stage.run("spike", &both, &["--buyers", "5"]);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains(&format!("{} rejects a buyer's token", other.url())), "{}", run.text);

    let other = refusing("/admin/", stage.ops_of(0));
    let listeners = format!("{},{}", stage.ops_of(0), other.url());
    let run = stage.spike(&["--buyers", "5", "--ops", &listeners]);
    assert_eq!(run.code, 2, "{}", run.text);
    assert!(run.text.contains(&other.url()) && run.text.contains("rejects the ops token"), "{}", run.text);

    let away = crate::stage::away();
    let run = stage.spike(&["--buyers", "5", "--ops", &format!("{},{away}", stage.ops_of(0))]);
    assert_eq!(run.code, 3, "{}", run.text);
    assert!(run.text.contains(&away), "{}", run.text);
    assert_eq!(stage.journal_entries(), 1, "only the definition");

    let newer = Proxy::before(&stage.gateways(), |request, gateway| {
        let mut answer = gateway.answer(request)?;
        if request.path == "/openapi.json" {
            answer.body = answer.body.replace(env!("CARGO_PKG_VERSION"), "9.9.9");
        }
        Some(answer)
    });
    let both = format!("{},{}", stage.gateways(), newer.url());
    let run = stage.run("spike", &both, &["--buyers", "5"]);
    run.assert_passed();
    let note = format!(
        "the gateways have different versions: {} {}, {} 9.9.9",
        stage.gateways(),
        env!("CARGO_PKG_VERSION"),
        newer.url()
    );
    assert!(run.notes().contains(&note), "{}", run.text);
}
