//! Tests the process: a closed or blocked stdout, signals, environment variables.

use testkit::program::Program;
use testkit::{Signal, wait_for};

use crate::stage::{Stage, definition};
use std::io::{Write, pipe};
use std::process::{Command, Stdio};

/// What a pipe takes before its writer waits.
const PIPE_BYTES: usize = 64 * 1024;

#[test]
fn a_closed_stdout_ends_no_load_and_is_quiet() {
    let stage = Stage::set(1);
    stage.apply(&definition(3, true));
    let (mut command, dir) = stage.prepared("spike", &["--buyers", "50"]);
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let done = command.stdout(writer).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let err = String::from_utf8(done.stderr).unwrap();
    assert_eq!((done.status.code(), err.as_str()), (Some(0), ""));
    assert!(std::fs::read_to_string(dir.join("verdict.json")).unwrap().contains("\"PASS\""));

    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut profile = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let done = profile.arg("profile").stdout(writer).stderr(Stdio::piped());
    let done = done.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((done.status.code(), done.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_blocked_stdout_delays_no_load_and_loses_no_answer() {
    let stage = Stage::set(1);
    stage.apply(&definition(3, true));
    // The first lines find room, the progress does not.
    let (mut command, dir) = stage.prepared("spike", &["--buyers", "50"]);
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&vec![b'\n'; PIPE_BYTES - 600]).unwrap();
    command.stdout(writer);
    let mut running = Program::new("loadtest", command);
    running.spawn().unwrap();
    wait_for("the run's record is written", || dir.join("run-record.json").exists().then_some(())).unwrap();
    drop(reader);
}

#[test]
fn a_load_that_a_signal_ends_is_judged_and_signals_without_a_meaning_are_ignored() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (mut command, dir) = stage.prepared("soak", &["--arrivals", "constant:20/s:1m"]);
        let entries = stage.journal_entries();
        command.stdout(Stdio::null());
        let mut running = Program::new("loadtest", command);
        running.spawn().unwrap();
        wait_for("there is load", || (stage.journal_entries() > entries).then_some(())).unwrap();
        for signal in [Signal::USR1, Signal::USR2, signal] {
            running.signal(signal);
        }
        let status = wait_for("it ends", || running.ended()).unwrap();
        // Most of what was to start has not.
        assert_eq!(status.code(), Some(4), "{signal:?}: {status}");
        let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
        let verdict: serde_json::Value = serde_json::from_str(&read("verdict.json")).unwrap();
        assert!(verdict["notes"].to_string().contains("it was ended by hand"), "{signal:?}: {verdict}");
        assert!(verdict["reasons"][0].as_str().unwrap().contains("never happened"), "{signal:?}: {verdict}");
        assert_eq!(verdict["violations_total"], 0, "the answers until then are proved: {verdict}");
        for name in ["report.html", "report.md", "run-record.json", "goose.html"] {
            assert!(!read(name).is_empty(), "{signal:?}: {name}");
        }
    }
}

#[test]
fn a_mistyped_variable_is_named_and_one_of_the_gateway_is_not() {
    let profile = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LAUNCHGATE_")) {
            command.env_remove(name);
        }
        let done = command.arg("profile").envs(variables.iter().copied()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, err) = profile(&[("LAUNCHGATE_BUYRES", "hunter2")]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("LAUNCHGATE_BUYRES is unknown: expected LAUNCHGATE_BUYERS"), "{err}");
    assert!(!err.contains("hunter2"), "{err}");
    let of_others = [
        ("LAUNCHGATE_DURABILITY", "aof"),
        ("LAUNCHGATE_GATEWAYS", "3"),
        ("LAUNCHGATE_OPS_LISTEN", "127.0.0.1:9090"),
        ("LAUNCHGATE_OPS_SERVICE_HOST", "10.0.0.1"),
        ("LAUNCHGATE_I_MEAN_IT", ""),
        ("LAUNCHGATE_SEED", ""),
    ];
    assert_eq!(profile(&of_others), (Some(0), String::new()));
}
