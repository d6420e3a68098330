//! Tests a sale after its launch: export, import with an identical audit, purge.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::cli::{Ended, run};
use testkit::definition::{known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

/// `gateway sale …`.
pub fn sale(redis: &Redis, args: &[&str]) -> Ended {
    run(&[&["sale"], args, &["--redis", &redis.url()]].concat())
}

/// Checks the exit code and the output.
fn check_ended(ended: &Ended, code: i32, words: &str) {
    assert_eq!(ended.code, code, "{ended:?}");
    assert!(format!("{}{}", ended.out, ended.err).contains(words), "{words:?} in {ended:?}");
}

fn audit(redis: &Redis) -> Value {
    run(&["audit", "small", "--json", "--redis", &redis.url()]).json()
}

/// A sale with partial wins, two reservations of one buyer, all states, a restock and an operator
/// action.
async fn busy(gateway: &Gateway) -> String {
    open(gateway, &with(with(small(), "/sale/per_buyer", json!(2)), "/sale/hold", json!("20m"))).await;
    let alice = gateway.reserve("alice", "k1", &white()).await;
    assert_eq!(alice.status, 201);
    let bob = gateway
        .reserve("bob", "k1", &json!({"model": "white", "packages": ["cover"], "store": "gz-1"}))
        .await;
    assert_eq!(gateway.confirm(&bob.id(), "pay-1", 1).await.status, 200);
    let carol = gateway.reserve("carol", "k~{}|1", &white()).await;
    assert_eq!(gateway.cancel("carol", &carol.id()).await.status, 200);
    assert_eq!(gateway.reserve("alice", "k2", &white()).await.status, 201);
    let restock =
        json!({"item": "model:white", "total": 70, "was": 60, "reason": "more \u{e9}\u{20ac} came"});
    assert_eq!(gateway.ops(Method::POST, "/admin/v1/sales/small/restock", &restock).await.status, 200);
    assert_eq!(gateway.action("pause", &json!({"reason": "over"})).await.status, 200);
    alice.id()
}

#[tokio::test]
async fn an_export_is_imported_with_an_identical_audit_and_goes_on_from_there() {
    let (first, second) = (Redis::start(), Redis::start());
    let gateway = Gateway::start(&first).await;
    let alice = busy(&gateway).await;
    let file = first.files().join("small.jsonl");
    let path = file.to_str().unwrap();
    check_ended(&sale(&first, &["export", "small", path]), 0, "small at sequence 9, 4 reservations");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "ids of buyers are in it");
    check_ended(&sale(&first, &["export", "small", path]), 2, "exists, and an export overwrites no file");
    for missing in [format!("{path}/in-a-file"), format!("{path}.d/in-no-folder")] {
        check_ended(&sale(&first, &["export", "small", &missing]), 2, &missing);
        check_ended(&sale(&first, &["import", &missing]), 2, &missing);
    }
    check_ended(&sale(&first, &["export", "none", &format!("{path}.2")]), 2, "no such sale");
    assert!(!Path::new(&format!("{path}.2")).exists());
    check_ended(&sale(&first, &["import", path]), 1, "has a sale small already");

    // There a gateway waits already, and finds it.
    let other = Gateway::start(&second).await;
    check_ended(&sale(&second, &["import", path]), 0, "its audit is the same");
    assert_eq!(audit(&second), audit(&first));
    let journal = |redis: &Redis| run(&["journal", "small", "--redis", &redis.url()]).out;
    assert_eq!(journal(&second), journal(&first));
    known(&other, "small").await;
    // A retry finds what its buyer has, also there; what was paid stays paid; and it goes on.
    let again = other.reserve("alice", "k1", &white()).await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed"), again.id()),
        (200, "true", alice.clone())
    );
    assert_eq!(other.confirm(&alice, "pay-2", 1).await.status, 200);
    assert_eq!(other.action("resume", &json!({})).await.status, 200);
    assert_eq!(other.reserve("dora", "k1", &white()).await.status, 201);
    let after = audit(&second);
    assert_eq!((&after["verdict"], &after["sequence"]), (&json!("balanced"), &json!(12)), "{after}");
    assert_eq!(second.run::<Vec<String>>("KEYS *import*"), Vec::<String>::new());
}

#[tokio::test]
async fn an_incomplete_file_imports_nothing() {
    let (first, second) = (Redis::start(), Redis::start());
    let gateway = Gateway::start(&first).await;
    busy(&gateway).await;
    let file = first.files().join("small.jsonl");
    check_ended(&sale(&first, &["export", "small", file.to_str().unwrap()]), 0, "");
    let good = std::fs::read(&file).unwrap();
    let bad = first.files().join("bad.jsonl");
    let refused = |bytes: &[u8], words: &str| {
        std::fs::write(&bad, bytes).unwrap();
        check_ended(&sale(&second, &["import", bad.to_str().unwrap()]), 2, words);
        assert_eq!(second.run::<i64>("DBSIZE"), 0);
    };
    refused(b"", "was cut off");
    refused(b"# a sale\n", "can't be read");
    refused(&good[..good.len() - 1], "was cut off");
    refused(&[&good[..], b"\n"].concat(), "has data after its checksum");
    let newer = String::from_utf8(good.clone()).unwrap().replacen("\"version\":1", "\"version\":3", 1);
    refused(newer.as_bytes(), "version 3");
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    refused(&lines[..lines.len() - 1].concat(), "was cut off");
    refused(&[&lines[..3], &lines[4..]].concat().concat(), "checksum differs");
    // A digit that is another makes a number that can be read, and a file that is another.
    let digits = (0..good.len()).filter(|at| good[*at].is_ascii_digit());
    for at in digits.step_by(good.len() / 40) {
        let mut changed = good.clone();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        refused(&changed, bad.to_str().unwrap());
    }
    check_ended(&sale(&second, &["import", "/nowhere/x"]), 2, "/nowhere/x");
}

#[tokio::test]
async fn a_sale_is_purged_once_it_is_over_and_exported_and_nothing_of_a_buyer_is_left() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let alice = busy(&gateway).await;
    let path = |name: &str| redis.files().join(name).to_str().unwrap().to_owned();
    let purge =
        |export: &str, more: &[&str]| sale(&redis, &[&["purge", "small", "--export", export], more].concat());
    let export =
        |name: &str| check_ended(&sale(&redis, &["export", "small", &path(name)]), 0, "small at sequence");
    let before = audit(&redis);

    check_ended(&purge(&path("none"), &[]), 2, "none");
    export("open");
    check_ended(&purge(&path("open"), &[]), 1, "gateway sale close small");
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    check_ended(&purge(&path("open"), &[]), 1, "export it again");
    export("held");
    check_ended(&purge(&path("held"), &[]), 1, "2 holds of small are outstanding");
    assert_eq!(gateway.confirm(&alice, "pay-2", 1).await.status, 200);
    let others = gateway.get_as("alice", "/v1/sales/small/reservations").await;
    let held = others.json["reservations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["state"] == "held")
        .unwrap()
        .clone();
    assert_eq!(gateway.cancel("alice", held["id"].as_str().unwrap()).await.status, 200);
    let lease = json!({"reader": "orders", "holder": "a:1", "ttl_ms": 60_000});
    let lease = gateway.ops(Method::POST, "/admin/v1/sales/small/journal/lease", &lease).await;
    assert_eq!(lease.status, 200, "{}", lease.text);
    export("last");
    check_ended(&purge(&path("last"), &["--confirm", "another"]), 2, "nothing was done");
    assert_eq!(audit(&redis)["verdict"], "balanced");
    assert_ne!(audit(&redis), before);

    check_ended(&purge(&path("last"), &["--confirm", "small", "--reason", "it is over"]), 0, "purged");
    assert_eq!(redis.run::<Vec<String>>("KEYS *small*"), Vec::<String>::new());
    let note = redis.run::<String>("HGET lg:purged small");
    assert!(note.contains("it is over") && !note.contains("alice"), "{note}");
    check_ended(&sale(&redis, &["show", "small"]), 2, "no such sale");
    // The gateway does not report it as lost.
    eventually("it is forgotten", || async {
        (gateway.get("/v1/sales/small").await.status == 404).then_some(())
    })
    .await;
    eventually("no alarm, and no sale", || async {
        let live = gateway.ops_get("/admin/v1/live?frames=1").await;
        let last: Value = serde_json::from_str(live.text.lines().last()?).unwrap();
        (last["alarms"] == json!([]) && last["sales"] == json!([])).then_some(())
    })
    .await;
    assert_eq!(gateway.ops_get("/readyz").await.status, 200);

    // And it can come back, to the same gateway.
    check_ended(&sale(&redis, &["import", &path("last")]), 0, "its audit is the same");
    known(&gateway, "small").await;
    let again = gateway.reserve("alice", "k1", &white()).await;
    assert_eq!((again.status, again.id()), (200, alice), "{}", again.text);
    assert_eq!(redis.run::<Option<String>>("HGET lg:purged small"), None);
}

#[tokio::test]
async fn a_drifting_ledger_is_exported_never_purged_and_gets_a_repair_plan() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    busy(&gateway).await;
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white 1");
    let drifting = run(&["audit", "small", "--redis", &redis.url()]);
    check_ended(&drifting, 1, "plan 1: stop what adds to it: gateway sale pause small");
    let white = audit(&redis)["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|i| i["item"] == "model:white")
        .unwrap()
        .clone();
    let should = white["free"].as_i64().unwrap() - 1;
    check_ended(&drifting, 1, &format!("HSET lg:{{small}}:stock model:white {should}"));
    let file = redis.files().join("drift");
    check_ended(
        &sale(&redis, &["export", "small", file.to_str().unwrap()]),
        1,
        "its ledger drifts: model:white",
    );
    check_ended(&sale(&redis, &["purge", "small", "--export", file.to_str().unwrap()]), 1, "drifts");
    // The plan, followed exactly, fixes it.
    redis.run::<i64>(&format!("HSET lg:{{small}}:stock model:white {should}"));
    check_ended(&run(&["audit", "small", "--redis", &redis.url()]), 0, "balanced");
}

/// The file is a pipe, so that the sale can be made at the very moment between the first look and the last step.
#[tokio::test]
async fn a_sale_that_appears_while_an_export_is_read_is_not_written_over() {
    let (first, second) = (Redis::start(), Redis::start());
    let gateway = Gateway::start(&first).await;
    busy(&gateway).await;
    let file = first.files().join("small.jsonl");
    check_ended(&sale(&first, &["export", "small", file.to_str().unwrap()]), 0, "");
    let bytes = std::fs::read(&file).unwrap();
    let there = Gateway::start(&second).await;
    let pipe = second.files().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());

    let (url, name) = (second.url(), pipe.to_str().unwrap().to_owned());
    let import = tokio::task::spawn_blocking(move || run(&["sale", "import", &name, "--redis", &url]));
    let write = async |bytes: Vec<u8>| {
        let pipe = pipe.clone();
        let written = tokio::task::spawn_blocking(move || std::fs::write(&pipe, bytes));
        written.await.unwrap().unwrap();
    };
    // It is read twice: to check that it is complete, and to load it after the remains of an
    // earlier import are removed.
    write(bytes.clone()).await;
    eventually("it was read to its end", || async {
        let stats: String = second.run("INFO commandstats");
        stats.contains("cmdstat_unlink").then_some(())
    })
    .await;
    let (path, half) = (pipe.clone(), bytes.clone());
    let mut pipe = tokio::task::spawn_blocking(move || {
        let mut pipe = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        std::io::Write::write_all(&mut pipe, &half[..half.len() / 2]).unwrap();
        pipe
    })
    .await
    .unwrap();
    eventually("it is being loaded", || async {
        second.run::<bool>("EXISTS lg:{small}:import:state").then_some(())
    })
    .await;
    open(&there, &with(small(), "/sale/name", json!("Another"))).await;
    let won = there.reserve("zoe", "k", &white()).await;
    assert_eq!(won.status, 201, "{}", won.text);
    let before = audit(&second);
    std::io::Write::write_all(&mut pipe, &bytes[bytes.len() / 2..]).unwrap();
    drop(pipe);

    check_ended(&import.await.unwrap(), 1, "has a sale small already");
    assert_eq!(audit(&second), before);
    assert_eq!(there.get("/v1/sales/small").await.json["name"], "Another");
    assert_eq!(second.run::<Vec<String>>("KEYS *import*"), Vec::<String>::new());
}
