//! Tests each exit code and its message; detectable mistakes are reported before any request.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use crate::proxy::Proxy;
use crate::stage::{Run, Stage, away, definition};

/// How long before the verdict is INVALID something may be late.
const STRICT: [&str; 2] = ["--set", "generator={late=\"200ms\",late_share=1,cpu=90}"];

fn open() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    stage
}

/// Checks the exit code and the message, and that nothing was sent.
fn assert_refused(stage: &Stage, run: &Run, code: i32, words: &[&str]) {
    assert_eq!(run.code, code, "{}", run.text);
    for words in words {
        assert!(run.text.contains(words), "{words:?} is missing in {}", run.text);
    }
    assert!(!run.text.contains("outcomes"), "nothing was sent: {}", run.text);
    assert_eq!(stage.journal_entries(), 1, "the definition, and nothing that a buyer did: {}", run.text);
    for secret in stage.secrets() {
        assert!(!run.text.contains(&secret), "{}", run.text);
    }
}

fn assert_invalid(run: &Run, words: &[&str]) {
    assert_eq!(run.code, 4, "{}", run.text);
    let verdict = run.verdict();
    assert_eq!(verdict["verdict"], "INVALID");
    let reasons = verdict["reasons"].to_string();
    for words in words {
        assert!(reasons.contains(words), "{words:?} is missing in {reasons}");
    }
    assert!(run.text.lines().rev().nth(1).unwrap().starts_with("INVALID: "), "{}", run.text);
}

#[test]
fn a_missed_threshold_fails_the_run() {
    let stage = open();
    let asked = "verdict.thresholds=[\"won < 1\",\"wrong < 1\"]";
    let run = stage.spike(&["--buyers", "6", "--set", asked]);
    assert_eq!(run.code, 1, "{}", run.text);
    let verdict = run.verdict();
    assert_eq!((&verdict["verdict"], &verdict["violations_total"]), (&"FAIL".into(), &0.into()));
    assert_eq!(verdict["reasons"].as_array().unwrap(), &["won < 1 expected, measured 6"]);
    let met: Vec<_> = verdict["thresholds"].as_array().unwrap().iter().map(|judged| &judged["met"]).collect();
    assert_eq!(met, [false, true]);
    assert!(run.text.lines().any(|line| line == "FAIL: won < 1 expected, measured 6"), "{}", run.text);
}

#[test]
fn a_starved_generator_proves_nothing() {
    let stage = open();
    // No machine starts so much from one process.
    let more = ["--arrivals", "constant:50000/s:1s", "--deadline", "7s"];
    let strict = ["--set", "generator={late=\"10ms\",late_share=1,cpu=90}"];
    let run = stage.run("look", &stage.gateways(), &[&strict[..], &more].concat());
    assert_invalid(&run, &["50000 starts were more than 10 ms late"]);
    assert!(run.verdict()["arrivals"]["late"].as_u64() > Some(500), "{}", run.text);
}

#[test]
fn too_few_connections_prove_nothing() {
    let stage = open();
    let slow = Proxy::before(&stage.gateways(), |request, gateway| {
        if request.is_tap() {
            std::thread::sleep(Duration::from_millis(100));
        }
        gateway.answer(request)
    });
    let more = [&STRICT[..], &["--buyers", "12", "--connections", "1", "--set", "buyers.twice=0"]].concat();
    let run = stage.run("spike", &slow.url(), &more);
    assert_invalid(&run, &["were more than 200 ms late"]);
    assert!(run.notes().contains("12 simultaneous buyers shared 1 connections"), "{}", run.text);
}

#[test]
fn an_opening_after_the_deadline_is_not_waited_for() {
    let stage = Stage::set(1);
    stage.apply(&definition(60, true));
    let run = stage.spike(&["--buyers", "5", "--deadline", "10s"]);
    assert_invalid(&run, &["the opening would be at", "the deadline is before that"]);
    assert_refused(&stage, &run, 4, &["INVALID: "]);
}

#[test]
fn a_sale_that_was_closed_proves_nothing() {
    let stage = open();
    stage.close();
    let run = stage.spike(&["--buyers", "5"]);
    assert_invalid(&run, &["the sale was closed before the start"]);
}

#[test]
fn a_profile_with_mistakes_is_refused_with_their_places() {
    let stage = open();
    for (text, words) in [
        ("[buyers]\nconfirm = 60\nconfrim = 1\n", &["confrim", "confirm", "line 3"][..]),
        ("[crowd]\ntail = \"1m\"\nlead = \"soon\"\n", &["soon", "line 3", "write it as 90s"]),
        ("\n[buyers]\ntwice = \"often\"\n", &["often", "line 3", "twice"]),
        ("[mix]\nstampede = 1\n", &["stampede", "retry-storm", "line 2, mix.stampede:"]),
        ("[buyers\n", &["line 1"]),
        ("[arrivals]\nsoak = \"often\"\n", &["arrivals.soak", "\"often\"", "poisson:200/s:60s"]),
    ] {
        let profile = stage.write("profile.toml", text);
        let run = stage.spike(&["--buyers", "5", "--profile", &profile]);
        assert_refused(&stage, &run, 2, &[words, &["--profile", "profile.toml"]].concat());
    }
    let asked = "verdict.thresholds=[\"won.p99 < 1s\", \"won.p99 < fast\"]";
    let run = stage.spike(&["--buyers", "5", "--set", asked]);
    assert_refused(&stage, &run, 2, &["verdict.thresholds: the threshold \"won.p99 < fast\""]);
    let run = stage.spike(&["--buyers", "5", "--set", "buyers.thrice=1"]);
    assert_refused(&stage, &run, 2, &["--set", "thrice"]);
    let run = stage.spike(&["--arrivals", "constant:fast"]);
    assert_refused(&stage, &run, 2, &["--arrivals", "constant:fast", "constant:500/s"]);
}

#[test]
fn wrong_tokens_are_refused() {
    let stage = open();
    let write = |name: &str, text: &str| stage.write(name, text);
    let ops = write("wrong-ops", "ops fedcba9876543210fedcba9876543210\n");
    let run = stage.spike(&["--buyers", "5", "--ops-token-file", &ops]);
    assert_refused(&stage, &run, 2, &["rejects the ops token", "--ops-token-file"]);

    let secret = write("wrong-secret", "another secret of the tests, of 32 bytes");
    let run = stage.spike(&["--buyers", "5", "--auth-secret-file", &secret]);
    assert_refused(&stage, &run, 2, &["rejects a buyer's token", "--auth-secret-file"]);

    let minted = stage.tokens("3");
    let lines: Vec<&str> = minted.lines().collect();
    let bad = [
        (format!("{}\nrubbish\n{}\n", lines[0], lines[1]), "--tokens, line 2: not a JWT"),
        (
            format!("{}\n{}\n{}\n", lines[0], lines[1], lines[0]),
            "--tokens, line 3: \"buyer-0\" is there already",
        ),
        (minted.clone(), "--tokens has 3 tokens, "),
    ];
    for (text, words) in bad {
        let tokens = write("tokens", &text);
        assert_refused(&stage, &stage.spike(&["--buyers", "5", "--tokens", &tokens]), 2, &[words]);
    }
    // And as they are they do.
    let tokens = write("tokens", &minted);
    let run = stage.spike(&["--tokens", &tokens]);
    run.assert_passed();
    assert_eq!(run.outcome("won"), 3, "{}", run.text);
    assert!(
        run.notes().contains("no reservation is confirmed: --service-token-file is missing"),
        "{}",
        run.text
    );
}

#[test]
fn what_it_does_not_storm() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, false));
    let run = stage.spike(&["--buyers", "5"]);
    assert_refused(&stage, &run, 2, &["small is not a rehearsal", "--i-mean-it"]);
    let run = stage.spike(&["--buyers", "5", "--sale", "large"]);
    assert_refused(&stage, &run, 2, &["large", "--sale"]);
    let run = stage.spike(&["--buyers", "5", "--i-mean-it", "--shard", "1/2"]);
    assert_refused(&stage, &run, 2, &["--seed"]);
    let run = stage.spike(&["--buyers", "5", "--i-mean-it", "--seed", "1", "--shard", "1/2"]);
    assert_refused(&stage, &run, 2, &["the parts of a run meet at the opening"]);

    let unused = away();
    let run = stage.run("spike", &unused, &["--buyers", "5", "--i-mean-it"]);
    assert_refused(&stage, &run, 3, &[&unused, "refused"]);
    let run = stage.spike(&["--buyers", "5", "--i-mean-it", "--ops", &unused]);
    assert_refused(&stage, &run, 3, &[&unused, "refused"]);
}

#[test]
fn a_clock_that_is_wrong_is_refused() {
    let has = Command::new("faketime").arg("--version").output().is_ok_and(|done| done.status.success());
    if !has {
        // Not by a macro: the test runner captures its output.
        let skipped = "SKIPPED a_clock_that_is_wrong_is_refused: apt-get install faketime\n";
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    }
    let stage = open();
    for (off, words) in [("+1h", "ahead of the server's"), ("-1h", "behind the server's")] {
        // Timers of the kernel's don't believe in another monotonic time.
        let under = ["faketime", "--exclude-monotonic", "-f", off];
        let run = stage.run_under(&under, "spike", &stage.gateways(), &["--buyers", "5"]);
        assert_refused(&stage, &run, 3, &["this machine's clock shows", ", 1h ", words, "NTP"]);
    }
}
