//! Tests a Redis that returns without its last changes: gateways replay the acknowledged ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::definition::{known, open};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, binary};
use testkit::redis::Redis;

use crate::faults::callers::{far, stock};
use crate::launch::spike::{balanced, changes, fault, journal, reserve_until_answered, wins};

/// A Redis that can lose what it wrote after a point in time, as one does that crashes with its machine.
pub struct RedisWithLoss(pub Redis);

impl RedisWithLoss {
    /// Saves the files as they are now.
    pub fn save_files(&mut self) {
        self.0.kill();
        self.copy("appendonlydir", "earlier");
        self.0.start_again().unwrap();
    }

    /// Crashes it, and starts it with the saved files.
    pub fn restart_from_saved(&mut self) {
        self.0.kill();
        self.copy("earlier", "appendonlydir");
        self.0.start_again().unwrap();
    }

    fn copy(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.0.files().join(name));
        let _ = std::fs::remove_dir_all(&to);
        let copied = |from: &Path, to: &Path| Command::new("cp").arg("-r").arg(from).arg(to).status();
        assert!(copied(&from, &to).unwrap().success());
    }

    /// Gateways can reserve, and cannot read the journal.
    fn revoke_xread(&self) {
        self.0.run::<()>("ACL SETUSER default -xread");
        self.0.run::<()>("CLIENT KILL TYPE normal SKIPME yes");
    }
}

/// Waits until a gateway's heartbeat reports this of the sale.
pub async fn alarm(redis: &Redis, words: &str) -> String {
    eventually("the alarm gives the reason", || async {
        let fleet: BTreeMap<String, String> = redis.run("HGETALL lg:fleet");
        let reports =
            fleet.values().filter_map(|report| serde_json::from_str::<Value>(report.split_once(' ')?.1).ok());
        let alarms = reports.flat_map(|report| report["alarms"].as_array().cloned().unwrap_or_default());
        alarms.filter_map(|alarm| alarm["text"].as_str().map(str::to_owned)).find(|text| text.contains(words))
    })
    .await
}

/// Waits until a gateway has read all of the journal.
async fn read_all(gateway: &Gateway) {
    eventually("the gateway has read all", || async {
        let at = gateway.audit().await["sequence"].as_u64()?;
        let metrics = gateway.ops_get("/metrics").await.text;
        metrics.contains(&format!("launchgate_ledger_sequence{{sale=\"small\"}} {at}\n")).then_some(())
    })
    .await;
}

pub async fn wait_until_recovered(gateway: &Gateway) -> Value {
    let adopted = eventually("the ledger is recovered", || async {
        let lines = journal(gateway).await;
        lines.into_iter().rev().find(|line| line["kind"] == "adopt" && line["replayed"].is_u64())
    })
    .await;
    eventually("the fault is over", || async { (!fault(gateway).await).then_some(()) }).await;
    adopted
}

/// Runs `gateway sale release small …`; returns its exit code and output.
pub fn release(redis: &Redis, options: &[&str]) -> (Option<i32>, String) {
    let mut command = binary();
    command
        .args(["sale", "release", "small", "--redis", &redis.url(), "--reason", "its machine burnt down"])
        .args(["--confirm", "small"])
        .args(options);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A reader that has any of these lines gets the next one.
async fn goes_on_from_each(gateway: &Gateway, lines: &[Value]) {
    for pair in lines.windows(2) {
        let from = pair[0]["cursor"].as_str().unwrap();
        let page = gateway.ops_get(&format!("/admin/v1/sales/small/journal?from={from}&limit=1")).await;
        assert_eq!((page.status, &page.json["cursor"]), (200, &pair[1]["cursor"]), "{from}: {}", page.text);
    }
}

fn same(again: &Reply, first: &Reply) {
    assert_eq!((again.status, again.id()), (200, first.id()), "{}", again.text);
    for field in ["number", "model", "packages", "store", "held_at", "version"] {
        assert_eq!(again.json[field], first.json[field], "{field}");
    }
}

#[tokio::test]
async fn an_older_ledger_is_restored_from_the_entries_that_a_gateway_has_read() {
    let mut redis = RedisWithLoss(Redis::start());
    let gateway = Gateway::start(&redis.0).await;
    open(&gateway, &stock(4)).await;
    let early = reserve_until_answered(&gateway, "early", "k", &far()).await;
    redis.save_files();
    // All kinds of changes that will be gone.
    let paid = reserve_until_answered(&gateway, "paid", "k", &far()).await;
    assert_eq!(gateway.confirm(&paid.id(), "pay", 1).await.status, 200);
    let moved = reserve_until_answered(&gateway, "moved", "k", &far()).await;
    assert_eq!(gateway.amend("moved", &moved.id(), &json!({"packages": []})).await.status, 200);
    let ended = reserve_until_answered(&gateway, "ended", "k", &far()).await;
    assert_eq!(gateway.cancel("ended", &ended.id()).await.status, 200);
    for action in ["freeze", "unfreeze", "pause", "resume"] {
        assert_eq!(gateway.action(action, &json!({})).await.status, 200);
    }
    let last = reserve_until_answered(&gateway, "last", "k", &far()).await;
    assert_eq!(reserve_until_answered(&gateway, "late", "k", &far()).await.problem(), "sold-out");
    let before = journal(&gateway).await;
    redis.restart_from_saved();

    let adopted = wait_until_recovered(&gateway).await;
    assert_eq!((adopted["lost"].as_u64(), adopted["was"].is_string()), (Some(0), true), "{adopted}");
    // The journal is what it was, to the letter: no reader takes this for a fork.
    let after = journal(&gateway).await;
    assert_eq!(after[..before.len()], before[..]);
    goes_on_from_each(&gateway, &before).await;
    for (sub, first) in [("early", &early), ("paid", &paid), ("last", &last)] {
        same(&reserve_until_answered(&gateway, sub, "k", &far()).await, first);
    }
    assert_eq!(reserve_until_answered(&gateway, "late", "k", &far()).await.problem(), "sold-out");
    let states = [(&paid, "paid", "confirmed"), (&moved, "moved", "held"), (&ended, "ended", "cancelled")];
    for (reply, sub, state) in states {
        let path = format!("/v1/sales/small/reservations/{}", reply.id());
        assert_eq!(gateway.get_as(sub, &path).await.json["state"], state);
    }
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"], json!({"held": 3, "confirmed": 1, "cancelled": 1, "expired": 0}));
    // The recovery reports are deleted.
    assert!(!redis.0.run::<bool>("EXISTS lg:{small}:recovery"));
}

#[tokio::test]
async fn an_acknowledged_change_that_was_never_read_is_replayed_and_sold_to_no_other_buyer() {
    let mut redis = RedisWithLoss(Redis::start());
    let gateway = Gateway::start(&redis.0).await;
    open(&gateway, &stock(3)).await;
    redis.save_files();
    let first = reserve_until_answered(&gateway, "first", "k", &far()).await;
    read_all(&gateway).await;
    redis.revoke_xread();
    // Reads its reservation from the answer alone: nothing of this comes to the gateway in another way.
    let won = reserve_until_answered(&gateway, "won", "k", &far()).await;
    let cancelled = gateway.cancel("won", &won.id()).await;
    assert_eq!(cancelled.status, 200, "{}", cancelled.text);
    let paid = reserve_until_answered(&gateway, "paid", "k", &far()).await;
    assert_eq!(gateway.confirm(&paid.id(), "pay", 1).await.status, 200);
    let moved = gateway.amend("first", &first.id(), &json!({"packages": []})).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    let fewer = json!({"item": "model:white", "total": 2, "was": 3});
    let restocked = gateway.ops(Method::POST, "/admin/v1/sales/small/restock", &fewer).await;
    assert_eq!(restocked.status, 200, "{}", restocked.text);
    assert_eq!(gateway.action("freeze", &json!({})).await.status, 200);
    let before = journal(&gateway).await;
    redis.restart_from_saved();

    let adopted = wait_until_recovered(&gateway).await;
    assert_eq!(adopted["lost"], 0, "{adopted}");
    // These entries are made of what was answered, and have other columns than before; readers go on all the same.
    goes_on_from_each(&gateway, &before).await;
    same(&reserve_until_answered(&gateway, "paid", "k", &far()).await, &paid);
    same(&reserve_until_answered(&gateway, "first", "k", &far()).await, &moved);
    assert_eq!(reserve_until_answered(&gateway, "late", "k", &far()).await.problem(), "sold-out");
    let audit = balanced(&gateway).await;
    assert_eq!(audit["reservations"], json!({"held": 1, "confirmed": 1, "cancelled": 1, "expired": 0}));
    assert_eq!(changes(&gateway, "freeze").await, 1);
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_waited_for_until_ops_release_it() {
    let mut redis = RedisWithLoss(Redis::start());
    let gateway = Gateway::start(&redis.0).await;
    let other = Gateway::start(&redis.0).await;
    open(&gateway, &stock(3)).await;
    known(&other, "small").await;
    reserve_until_answered(&other, "early", "k", &far()).await;
    eventually("both are members", || async {
        let metrics = gateway.ops_get("/metrics").await.text;
        metrics.contains("launchgate_fleet_gateways 2").then_some(())
    })
    .await;
    redis.save_files();
    reserve_until_answered(&gateway, "early", "k", &far()).await;
    read_all(&gateway).await;
    redis.revoke_xread();
    // Only the other gateway has this change, and it dies with Redis.
    let gone = reserve_until_answered(&other, "gone", "k", &far()).await;
    assert_eq!(gone.json["number"], 2);
    let saved = reserve_until_answered(&gateway, "saved", "k", &far()).await;
    let read = journal(&gateway).await;
    drop(other);
    redis.restart_from_saved();

    let text = alarm(&redis.0, "sale release small").await;
    // No tap is answered meanwhile, and the page shows it.
    assert_eq!(gateway.get("/v1/sales/small").await.json["phase"], "paused");
    let tap = gateway.reserve("late", "k", &far()).await;
    assert_eq!((tap.status, tap.problem()), (503, "temporary-reduced-capacity"), "{}", tap.text);

    let id = text
        .split("sale release small ")
        .nth(1)
        .unwrap()
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>();
    let (code, why) = release(&redis.0, &["unknown-id"]);
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains(&id), "{why}");
    let (code, why) = release(&redis.0, &[&id]);
    assert_eq!(code, Some(0), "{why}");

    let adopted = wait_until_recovered(&gateway).await;
    assert_eq!(adopted["lost"], 1, "{adopted}");
    same(&reserve_until_answered(&gateway, "saved", "k", &far()).await, &saved);
    // A reader that has both finds it, although the later change is as it was.
    let from = read.last().unwrap()["cursor"].as_str().unwrap();
    let page = gateway.ops_get(&format!("/admin/v1/sales/small/journal?from={from}")).await;
    assert_eq!(page.problem(), "journal-forked", "{}", page.text);
    let common = page.json["cursor"].as_str().unwrap();
    let again = gateway.ops_get(&format!("/admin/v1/sales/small/journal?from={common}")).await;
    assert!(again.text.contains("\"kind\":\"lost\""), "{}", again.text);
    // The lost change leaves a gap, and its car is sold again.
    let numbers: BTreeMap<String, u64> = journal(&gateway)
        .await
        .iter()
        .filter(|line| line["kind"] == "reserve")
        .map(|line| (line["buyer"].as_str().unwrap().to_owned(), line["number"].as_u64().unwrap()))
        .collect();
    assert_eq!(numbers, [("early".to_owned(), 1), ("saved".to_owned(), 3)].into());
    assert_eq!(changes(&gateway, "lost").await, 1);
    let next = wins(&gateway, "next", "k", &far()).await;
    assert_eq!(next.json["number"].as_u64(), Some(4), "{}", next.text);
    assert_eq!(reserve_until_answered(&gateway, "late", "k", &far()).await.problem(), "sold-out");
    balanced(&gateway).await;
    let (code, why) = release(&redis.0, &[&id]);
    assert_eq!((code, why.contains("there is no gateway to release")), (Some(1), true), "{why}");
}
