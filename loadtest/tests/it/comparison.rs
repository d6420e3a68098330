//! Tests what a run is judged by and compared with: `merge`, `--baseline`, `--profile`.

use std::time::Duration;

use crate::proxy::Proxy;
use crate::stage::{Run, Stage, definition};

fn open() -> Stage {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    stage
}

fn assert_refused(run: &Run, words: &[&str]) {
    assert_eq!(run.code, 2, "{}", run.text);
    for words in words {
        assert!(run.text.contains(words), "{words:?} is missing in {}", run.text);
    }
}

#[test]
fn a_merge_judges_by_what_the_parts_were_run_with() {
    let stage = open();
    let missed = stage.spike(&["--buyers", "6", "--set", "verdict.thresholds=[\"won < 1\"]"]);
    assert_eq!(missed.code, 1, "{}", missed.text);
    let same = stage.merge(&[&missed], &[]);
    assert_eq!(same.code, 1, "{}", same.text);
    assert_eq!(same.verdict()["reasons"][0], "won < 1 expected, measured 6", "{}", same.text);
    assert!(!same.notes().contains("it is not judged by"), "{}", same.text);

    let other = stage.merge(&[&missed], &["--set", "verdict.thresholds=[\"won < 9\"]"]);
    other.assert_passed();
    let note = "it is not judged by what it was run with; that, and what options of the merge made of it: \
        verdict.thresholds: [\"won < 1\"] and [\"won < 9\"]";
    assert!(other.notes().contains(note), "{}", other.text);

    let played = stage.merge(&[&missed], &["--set", "buyers.twice=77"]);
    assert_refused(&played, &["the parts were run with another profile (buyers.twice: 5 and 77)"]);
    let file = stage.write("profile.toml", "[verdict]\nthresholds = [\"won < 9\"]\n");
    let file = stage.merge(&[&missed], &["--profile", &file]);
    file.assert_passed();
    assert!(file.notes().contains("verdict.thresholds"), "{}", file.text);
}

#[test]
fn only_runs_of_the_same_are_compared() {
    let stage = open();
    let before = stage.spike(&["--buyers", "6"]);
    before.assert_passed();
    let entries = stage.journal_entries();
    let baseline = before.dir.to_str().unwrap();
    let against = |scenario: &str, more: &[&str]| {
        stage.run(scenario, &stage.gateways(), &[&["--baseline", baseline], more].concat())
    };
    let others = against("spike", &["--buyers", "7", "--set", "buyers.twice=77"]);
    assert_refused(
        &others,
        &["can't be compared with this run: buyers: 6 and 7; profile, buyers.twice: 5 and 77", baseline],
    );
    assert_refused(&against("customise", &["--buyers", "6"]), &["scenario: spike and customise"]);
    let arrivals = against("spike", &["--buyers", "6", "--arrivals", "constant:7/s"]);
    assert_refused(&arrivals, &["--arrivals: those of the profile and others"]);
    assert_eq!(stage.journal_entries(), entries, "nothing was sent");
    // How it is judged does not matter.
    against("spike", &["--buyers", "6", "--set", "verdict.thresholds=[\"won > 1\"]"]).assert_passed();
    let merged = stage.merge(&[&against("spike", &["--buyers", "6"])], &["--baseline", baseline]);
    merged.assert_passed();
    let alone = stage.spike(&["--buyers", "6", "--fail-on-worse"]);
    assert_refused(&alone, &["--baseline"]);
}

#[test]
fn a_run_that_is_worse_than_its_baseline_fails_if_asked_to() {
    let stage = open();
    let load = ["--arrivals", "constant:100/s:2s"];
    let before = stage.run("look", &stage.gateways(), &load);
    before.assert_passed();
    let slow = Proxy::before(&stage.gateways(), |request, gateway| {
        if request.path.ends_with("/sales/small") {
            std::thread::sleep(Duration::from_millis(300));
        }
        gateway.answer(request)
    });
    let more = [&load[..], &["--baseline", before.dir.to_str().unwrap()]].concat();
    let told = stage.run("look", &slow.url(), &more);
    told.assert_passed();
    assert!(
        told.text.contains("baseline  request:look.p50: ") && told.text.contains("WORSE"),
        "{}",
        told.text
    );
    let gated = stage.run("look", &slow.url(), &[&more[..], &["--fail-on-worse"]].concat());
    assert_eq!(gated.code, 1, "{}", gated.text);
    assert!(gated.text.contains("FAIL: worse than the baseline: request:look.p50: "), "{}", gated.text);
}

#[test]
fn the_built_in_profile_as_a_file_changes_nothing() {
    let stage = Stage::set(1);
    stage.apply(&definition(60, true));
    let mut profile = std::process::Command::new(env!("CARGO_BIN_EXE_loadtest"));
    profile.arg("profile");
    let file = stage.write("mine.toml", &testkit::cli::output(profile).unwrap());
    for scenario in ["spike", "crowd", "look", "customise", "mix"] {
        // It ends before anything is sent, with all that was planned.
        let planned = |more: &[&str]| {
            let run = stage.run(scenario, &stage.gateways(), &[&["--deadline", "10s"], more].concat());
            assert_eq!(run.code, 4, "{}", run.text);
            run.verdict()["buyers"].as_u64().unwrap()
        };
        assert_eq!(planned(&["--profile", &file]), planned(&[]), "{scenario}");
    }
}
