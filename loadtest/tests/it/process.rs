//! The program as a process: a stdout that is closed or blocked, signals, variables.

use crate::stage::{Running, Stage, definition};
use crate::wait::eventually;
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
    assert_eq!((done.status.code(), done.stderr), (Some(141), Vec::new()));
}

#[test]
fn a_blocked_stdout_holds_up_no_load_and_what_it_was_answered_is_kept() {
    let stage = Stage::set(1);
    stage.apply(&definition(3, true));
    // The first lines find room, the progress does not.
    let (mut command, dir) = stage.prepared("spike", &["--buyers", "50"]);
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&vec![b'\n'; PIPE_BYTES - 600]).unwrap();
    let _running = Running(command.stdout(writer).spawn().unwrap());
    eventually("the run's record is written", || dir.join("run-record.json").exists().then_some(()));
    drop(reader);
}

#[test]
fn a_load_that_a_signal_ends_is_judged_and_signals_without_a_meaning_are_ignored() {
    let stage = Stage::set(1);
    stage.apply(&definition(-60, true));
    for name in ["TERM", "HUP"] {
        let (mut command, dir) =
            stage.prepared("soak", &["--buyers", "50", "--arrivals", "constant:20/s:1h"]);
        let entries = stage.journal_entries();
        let mut running = Running(command.stdout(Stdio::null()).spawn().unwrap());
        eventually("there is load", || (stage.journal_entries() > entries).then_some(()));
        for signal in ["USR1", "USR2", name] {
            let done = Command::new("kill").args([format!("-{signal}"), running.0.id().to_string()]).status();
            assert!(done.unwrap().success());
        }
        let status = eventually("it ends", || running.0.try_wait().unwrap());
        assert!(status.code().is_some_and(|code| [0, 1, 4].contains(&code)), "{name}: {status}");
        assert!(
            std::fs::read_to_string(dir.join("verdict.json")).unwrap().contains("ended by hand"),
            "{name}"
        );
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
