//! Tests the gateway's process: unread output, signals, environment variables, and closed pipes.

use std::io::{PipeReader, Read, Write, pipe};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::json;
use testkit::Signal;
use testkit::check::free;
use testkit::cli::{Ended, end, run};
use testkit::definition::{open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, OPS_TOKEN, SECRET, binary, send};
use testkit::metrics::Samples;
use testkit::redis::Redis;

use crate::contract::cli::{TOML, ended, files, text};

/// What a pipe takes before its writer waits.
const PIPE_BYTES: usize = 64 * 1024;

/// A full pipe with an open reader that reads nothing.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&vec![b'\n'; PIPE_BYTES]).unwrap();
    (reader, writer.into())
}

/// A gateway that writes to these, once it is ready.
async fn ready(redis: &Redis, out: Stdio, log: Stdio) -> Gateway {
    let gateway = Gateway::spawn_mute(redis, &["--log-level", "info"], out, log);
    gateway.ready().await;
    gateway
}

async fn ended_well(gateway: &mut Gateway) {
    let status = eventually("the gateway ends", || std::future::ready(gateway.ended())).await;
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn nothing_waits_for_a_reader_of_standard_output_or_error() {
    let redis = Redis::start();
    let (out, blocked_out) = full_pipe();
    let (mut log, blocked_log) = full_pipe();
    let mut gateway = ready(&redis, blocked_out, blocked_log).await;
    // Each of these logs a line; none of them may be waited for.
    let short = with(with(small(), "/sale/hold", json!("1s")), "/sale/grace", json!("0s"));
    open(&gateway, &short).await;
    for word in ["pause", "resume"] {
        assert_eq!(gateway.action(word, &json!({})).await.status, 200);
    }
    // The sweeper goes on: a hold ends and its unit comes back.
    let before = free(&gateway, "model:white").await;
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    eventually("the hold has ended", async || (free(&gateway, "model:white").await == before).then_some(()))
        .await;
    // So does the heartbeat.
    let fleet = async || {
        gateway.ops_get("/admin/v1/fleet").await.json["gateways"].as_object().map_or(0, |all| all.len())
    };
    eventually("the fleet has it", async || (fleet().await == 1).then_some(())).await;
    assert_eq!(gateway.ops_get("/livez").await.status, 200);
    // And it ends, though nothing of its log was read.
    gateway.signal(Signal::TERM);
    ended_well(&mut gateway).await;
    drop(out);
    let mut lines = String::new();
    log.read_to_string(&mut lines).unwrap();
    assert_eq!(lines.trim_matches('\n'), "", "all of it was still waiting");
}

#[tokio::test]
async fn a_log_that_is_read_late_has_every_line_and_one_that_is_closed_ends_nothing() {
    let redis = Redis::start();
    let (mut log, blocked) = full_pipe();
    let mut gateway = ready(&redis, Stdio::null(), blocked).await;
    open(&gateway, &small()).await;
    let reading = std::thread::spawn(move || {
        let mut lines = String::new();
        log.read_to_string(&mut lines).unwrap();
        lines
    });
    gateway.signal(Signal::TERM);
    ended_well(&mut gateway).await;
    let lines = reading.join().unwrap();
    for line in ["listening", "definition applied", "draining", "drained"] {
        assert!(lines.contains(line), "{line} in {lines}");
    }
    // A reader that has gone: the lines are lost and counted.
    let (log, closed) = pipe().unwrap();
    drop(log);
    let mut gateway = ready(&redis, Stdio::null(), closed.into()).await;
    eventually("lost lines are counted", async || {
        let metrics = gateway.ops_get("/metrics").await;
        let of = |text| Samples::read(text).of("log_lines_missing_total{reason=\"dropped\"}");
        (metrics.status == 200 && of(metrics.text) > 0.0).then_some(())
    })
    .await;
    gateway.signal(Signal::TERM);
    ended_well(&mut gateway).await;
}

#[tokio::test]
async fn a_line_that_a_caller_can_drive_is_limited_and_counted() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let file = std::fs::File::create(&log).unwrap();
    let gateway = ready(&redis, Stdio::null(), file.into()).await;
    open(&gateway, &small()).await;
    // Each logs one line.
    let mut pulled = 0;
    let limited = async || {
        let metrics = Samples::read(gateway.ops_get("/metrics").await.text);
        metrics.of("log_lines_missing_total{reason=\"limited\"}") as usize
    };
    while limited().await == 0 {
        for word in ["pause", "resume"].into_iter().cycle().take(50) {
            assert_eq!(gateway.action(word, &json!({})).await.status, 200);
            pulled += 1;
        }
        assert!(pulled < 20_000, "never limited");
    }
    let limited = limited().await;
    eventually("each line is written or counted", async || {
        let written = std::fs::read_to_string(&log).unwrap().matches("operator action done").count();
        (written + limited == pulled).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_hang_up_reads_files_again_and_other_signals_are_ignored() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let (log, jwks) = (dir.path().join("log"), dir.path().join("jwks"));
    let key = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "one",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let write = |keys: &str| {
        let new = dir.path().join("new");
        std::fs::write(&new, keys).unwrap();
        std::fs::rename(&new, &jwks).unwrap();
    };
    write(&json!({"keys": [key]}).to_string());
    let mut gateway =
        Gateway::spawn_logging(&redis.url(), &["--auth-jwks-file", jwks.to_str().unwrap()], &log);
    let lines = |what: &str| std::fs::read_to_string(&log).unwrap().matches(what).count();
    for (n, name) in
        [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::XFSZ, Signal::PIPE].into_iter().enumerate()
    {
        gateway.signal(name);
        if name != Signal::PIPE {
            eventually("the signal is logged", async || {
                (lines("a signal was ignored") == n + 1).then_some(())
            })
            .await;
        }
    }
    assert_eq!(gateway.ended(), None);
    // What is wrong with a file is reported once, and again after each hang-up.
    write("no keys");
    for n in 1..=3 {
        gateway.signal(Signal::HUP);
        eventually("it was read again", async || {
            (lines("its former content stays in force") >= n).then_some(())
        })
        .await;
    }
    let mut other = key.clone();
    other["kid"] = json!("two");
    write(&json!({"keys": [other]}).to_string());
    gateway.signal(Signal::HUP);
    eventually("the keys are taken over", async || (lines("the new content is in force") == 1).then_some(()))
        .await;
    assert_eq!(gateway.ops_get("/livez").await.status, 200);
    gateway.signal(Signal::TERM);
    ended_well(&mut gateway).await;
}

fn with_variables(args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = binary();
    command.args(args).envs(variables.iter().copied());
    end(command)
}

#[test]
fn a_mistyped_variable_stops_every_command_and_its_value_is_not_shown() {
    for args in [
        &["serve"][..],
        &["config"],
        &["openapi"],
        &["sale", "list"],
        &["audit", "small"],
        &["journal", "small", "--follow"],
        &["token", "--sub", "a", "--auth-secret-file", "/nowhere"],
        &["limits", "show"],
        &["doctor"],
    ] {
        let done = with_variables(args, &[("LAUNCHGATE_DURABILTY", "hunter2")]);
        ended(&done, 2, "", "LAUNCHGATE_DURABILTY is unknown: expected LAUNCHGATE_DURABILITY");
        assert!(!done.err.contains("hunter2"), "{done:?}");
    }
    // What is not near to any is named, and nothing more.
    let done = with_variables(&["config"], &[("LAUNCHGATE_COLOUR", "hunter2")]);
    ended(&done, 0, "durability = \"none\"", "LAUNCHGATE_COLOUR is unknown and has no effect");
    assert!(!done.err.contains("hunter2"), "{done:?}");
    // Kubernetes sets these for services of such names, and one environment may be for the load test, too.
    let spared = [
        ("LAUNCHGATE_PORT", "tcp://10.0.0.1:8080"),
        ("LAUNCHGATE_SERVICE_HOST", "10.0.0.1"),
        ("LAUNCHGATE_REDIS_SERVICE_PORT_REDIS", "6379"),
        ("LAUNCHGATE_OPS_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("LAUNCHGATE_SEED", "7"),
    ];
    let done = with_variables(&["config"], &spared);
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{done:?}");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let dir = files(TOML);
    let file = text(dir.path(), "gateway.toml");
    std::fs::write(&file, "workers = 3\nops-plain-text = true\ndurability = \"aof\"\n").unwrap();
    let plain = run(&["config", "--config", &file]);
    ended(&plain, 0, "workers = \"3\"", "");
    let of_all = ["serve", "sale apply", "audit", "journal", "token", "doctor", "limits log", "sale close"];
    let mut names = Vec::new();
    for command in of_all {
        let help = run(&[&command.split(' ').collect::<Vec<_>>()[..], &["--help"]].concat()).out;
        let words = help.split(|char: char| !char.is_ascii_uppercase() && char != '_');
        names.extend(words.filter(|word| word.starts_with("LAUNCHGATE_")).map(ToOwned::to_owned));
    }
    assert!(names.len() > 60, "{names:?}");
    let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let done = with_variables(&["config", "--config", &file], &empty);
    assert_eq!((done.code, done.out, done.err), (0, plain.out, String::new()));
    let secret = text(dir.path(), "secret");
    write_private(&secret, SECRET);
    let done = with_variables(&["token", "--sub", "a", "--auth-secret-file", &secret], &empty);
    assert_eq!((done.code, done.out.lines().count(), done.err.as_str()), (0, 1, ""));
}

#[tokio::test]
async fn output_into_a_closed_pipe_is_quiet() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let dir = files(TOML);
    let (secret, ops) = (text(dir.path(), "secret"), text(dir.path(), "ops"));
    write_private(&secret, SECRET);
    write_private(&ops, &format!("ops {OPS_TOKEN}\n"));
    let (url, sale) = (redis.url(), text(dir.path(), "sale.toml"));
    for args in [
        &["openapi"][..],
        &["config"],
        &["metrics"],
        &["metrics", "--json"],
        &["token", "--sub", "a", "--count", "100000", "--auth-secret-file", &secret],
        &["sale", "list", "--redis", &url],
        &["sale", "show", "small", "--redis", &url],
        &["sale", "show", "small", "--json", "--redis", &url],
        &["sale", "restock", "small", "model:white", "61", "--was", "60", "--redis", &url],
        &["sale", "export", "small", &text(dir.path(), "export"), "--redis", &url],
        &["sale", "apply", &sale, "--redis", &url],
        &["sale", "pause", "small", "--redis", &url],
        &["audit", "small", "--redis", &url],
        &["audit", "small", "--json", "--redis", &url],
        &["journal", "small", "--redis", &url],
        &["journal", "small", "--follow", "--redis", &url],
        &["limits", "show", "--redis", &url],
        &["limits", "show", "--json", "--redis", &url],
        &["limits", "set", "buyer=7:7", "--redis", &url],
        &["limits", "log", "--redis", &url],
    ] {
        let done = into_closed_pipe(args);
        assert_eq!((done.code, text_out(&done)), (0, String::new()), "{args:?}");
    }
    // A command with a verdict keeps it.
    let done = into_closed_pipe(&[
        "doctor",
        "--redis",
        &url,
        "--auth-secret-file",
        &secret,
        "--ops-token-file",
        &ops,
    ]);
    assert!([0, 1].contains(&done.code) && !done.err.contains("pipe"), "{done:?}");
    let done = into_closed_pipe(&["--help"]);
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    // What was asked for was done.
    let state = send(gateway.request(reqwest::Method::GET, "/v1/sales/small")).await;
    eventually("it is paused", async || {
        let sale = gateway.get("/v1/sales/small").await;
        (sale.json["phase"] == "paused").then_some(())
    })
    .await;
    assert_eq!(state.status, 200);
}

/// A file without a warning, because only its owner can read it.
fn write_private(path: &str, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn into_closed_pipe(args: &[&str]) -> Ended {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = binary();
    let output = command.args(args).stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let output = output.spawn().unwrap().wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Ended { code: output.status.code().unwrap_or(-1), out: String::new(), err }
}

/// Standard error without the description of an operator action.
fn text_out(done: &Ended) -> String {
    let described = ["pause small: ", "restock small: ", "limits set buyer=7:7: "];
    done.err.lines().filter(|line| !described.iter().any(|begin| line.starts_with(begin))).collect()
}
