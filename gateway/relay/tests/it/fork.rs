//! Redis comes back with an older file, or the sale is purged and applied again: what was lost is taken back.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use testkit::cli::run as gateway_command;
use testkit::definition::open;
use testkit::eventually;
use testkit::postgres::Postgres;
use testkit::redis::Redis;
use testkit::{Method, Signal};

use crate::ledger::{is_copied, journal, rows};
use crate::stage::{Stage, definition, load};

/// Copies the files of a Redis that does not run.
fn copy_files(redis: &Redis, from: &str, to: &str) {
    let [from, to] = [from, to].map(|name| redis.files().join(name));
    let _ = std::fs::remove_dir_all(&to);
    let copied = |from: &Path, to: &Path| Command::new("cp").arg("-r").arg(from).arg(to).status();
    assert!(copied(&from, &to).unwrap().success());
}

pub(crate) fn save_files(redis: &mut Redis) {
    redis.kill();
    copy_files(redis, "appendonlydir", "earlier");
    redis.start_again().unwrap();
}

/// Redis loses what came after the saved files, and with the gateway all that could replay it is gone, too.
pub(crate) async fn lose(stage: &mut Stage) {
    stage.gateway.kill();
    stage.redis.kill();
    copy_files(&stage.redis, "earlier", "appendonlydir");
    stage.redis.start_again().unwrap();
    stage.gateway.start_again().unwrap();
    let url = stage.redis.url();
    let body = json!({"model": "white", "packages": [], "store": "gz-1"});
    eventually("the sale sells again", || async {
        // The gateway that died is waited for.
        let release = [
            "sale",
            "release",
            "small",
            "--all",
            "--confirm",
            "small",
            "--reason",
            "a test's",
            "--redis",
            &url,
        ];
        gateway_command(&release);
        let reply = stage.gateway.reserve("after-the-loss", "k", &body).await;
        matches!(reply.status, 200 | 201).then_some(())
    })
    .await;
}

/// Closes it, ends its holds, and purges it.
pub(crate) async fn purge(stage: &Stage) {
    let held = journal(&stage.gateway).await.into_iter().filter(|line| line["state"] == "held");
    for line in held {
        let (id, token) = (line["reservation"].as_str().unwrap(), stage.gateway.service_token());
        stage.gateway.call(Method::POST, token, id, "/cancel", &json!({})).await;
    }
    let export = stage.file("export", "").display().to_string();
    std::fs::remove_file(&export).unwrap();
    let url = stage.redis.url();
    for args in [
        &["sale", "close", "small", "--confirm", "small", "--redis", &url][..],
        &["sale", "export", "small", &export, "--redis", &url],
        &["sale", "purge", "small", "--export", &export, "--confirm", "small", "--redis", &url],
    ] {
        let ended = gateway_command(args);
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn what_the_ledger_lost_is_rescinded_in_the_copy_and_the_new_history_follows() {
    let mut stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..30).await;
    save_files(&mut stage.redis);
    stage.gateway.ready().await;
    let relay = stage.relay(&["--postgres", &url]).start();
    // Changes of reservations that were there before, and new ones.
    for buyer in [3, 7, 11] {
        let id = eventually("a reservation", || async {
            let lines = journal(&stage.gateway).await;
            let of_buyer = lines.iter().rfind(|line| line["buyer"] == format!("buyer-{buyer}"))?;
            Some(of_buyer["reservation"].as_str()?.to_owned())
        })
        .await;
        eventually("it is confirmed", || async {
            (stage.gateway.confirm(&id, "pay", 1).await.status == 200).then_some(())
        })
        .await;
    }
    load(&stage.gateway, 100..110).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    let before = journal(&stage.gateway).await;
    lose(&mut stage).await;
    load(&stage.gateway, 200..205).await;
    is_copied(&stage.gateway, &postgres, "orders").await;

    relay.logs("are rescinded").await;
    let after = journal(&stage.gateway).await;
    let common =
        before.iter().zip(&after).take_while(|(before, after)| before["cursor"] == after["cursor"]).count();
    let lost = "SELECT line FROM changes WHERE rescinded_at IS NOT NULL ORDER BY sequence, place";
    let lost: Vec<_> = rows(&postgres, "orders", lost);
    let expected: Vec<_> = before[common..].to_vec();
    assert!(!expected.is_empty() && common > 30, "{common} of {}", before.len());
    assert_eq!(lost, expected, "what comes again unchanged is not rescinded");
    assert_eq!(postgres.sql("orders", "SELECT generation FROM cursor").trim(), "1");
}

#[tokio::test]
async fn a_signal_ends_a_relay_that_waits_for_the_copy_to_take_changes_back() {
    let mut stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..8).await;
    save_files(&mut stage.redis);
    stage.gateway.ready().await;
    load(&stage.gateway, 8..12).await;
    let mut relay = stage.relay(&["--postgres", &url]).start();
    is_copied(&stage.gateway, &postgres, "orders").await;
    // Another program has the row of the cursor.
    let (other, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    other.batch_execute("BEGIN; SELECT 1 FROM cursor FOR UPDATE").await.unwrap();
    lose(&mut stage).await;
    relay.logs("are rescinded").await;
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    eventually("it waits for the row", || async {
        (postgres.sql("postgres", waits).trim() == "1").then_some(())
    })
    .await;
    relay.program.signal(Signal::TERM);
    relay.ends(0).await;
    drop(other);
    connection.await.unwrap().unwrap();
    stage.relay(&["--postgres", &url, "--until-caught-up"]).start().ends(0).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    assert_eq!(postgres.sql("orders", "SELECT generation FROM cursor").trim(), "1", "taken back once");
}

#[tokio::test]
async fn a_reader_of_lines_gets_the_lost_ones_back_newest_first() {
    let mut stage = Stage::set().await;
    load(&stage.gateway, 0..10).await;
    save_files(&mut stage.redis);
    stage.gateway.ready().await;
    load(&stage.gateway, 10..14).await;
    let relay = stage.relay(&["--stdout"]).start();
    let before = journal(&stage.gateway).await;
    eventually("all is printed", || async { (relay.lines().len() == before.len()).then_some(()) }).await;
    lose(&mut stage).await;
    load(&stage.gateway, 20..22).await;
    let after = journal(&stage.gateway).await;
    let common =
        before.iter().zip(&after).take_while(|(before, after)| before["cursor"] == after["cursor"]).count();
    let expected: Vec<_> = before
        .iter()
        .cloned()
        .chain(before[common..].iter().rev().map(|line| {
            let mut line = line.clone();
            line["rescinded"] = line["kind"].take();
            line["kind"] = "rescinded".into();
            line
        }))
        .chain(after[common..].iter().cloned())
        .collect();
    eventually("the new history is printed", || async {
        (relay.lines().len() >= expected.len()).then_some(())
    })
    .await;
    let printed = relay.lines();
    assert_eq!(printed, expected);
    // A new process can't know what an earlier one has printed.
    let lost = before.last().unwrap()["cursor"].as_str().unwrap();
    let log = stage.relay(&["--stdout", "--from", lost, "--name", "late"]).start().ends(1).await;
    assert!(log.contains("the last common cursor is") && log.contains("start with --from"), "{log}");
}

#[tokio::test]
async fn what_a_filter_lets_through_is_taken_back_only_if_it_was_lost() {
    let mut stage = Stage::set().await;
    // The gateway's common cursor is some pages before the fork.
    load(&stage.gateway, 0..700).await;
    save_files(&mut stage.redis);
    stage.gateway.ready().await;
    load(&stage.gateway, 700..1050).await;
    let relay = stage.relay(&["--stdout", "--state", "confirmed"]).start();
    let before = journal(&stage.gateway).await;
    let passes = |line: &&Value| line["state"] == "confirmed";
    let printed = before.iter().filter(passes).count();
    eventually("all is printed", || async { (relay.lines().len() == printed).then_some(()) }).await;
    lose(&mut stage).await;
    load(&stage.gateway, 2000..2004).await;
    let after = journal(&stage.gateway).await;
    let common =
        before.iter().zip(&after).take_while(|(before, after)| before["cursor"] == after["cursor"]).count();
    let cursors = |lines: &[Value]| -> Vec<String> {
        lines.iter().map(|line| line["cursor"].as_str().unwrap().to_owned()).collect()
    };
    let confirmed = |lines: &[Value]| cursors(&lines.iter().filter(passes).cloned().collect::<Vec<_>>());
    let mut lost = confirmed(&before[common..]);
    lost.reverse();
    let expected = [confirmed(&before), lost, confirmed(&after[common..])].concat();
    eventually("the new history is printed", || async {
        (relay.lines().len() >= expected.len()).then_some(())
    })
    .await;
    assert_eq!(cursors(&relay.lines()), expected);
}

#[tokio::test]
async fn a_sale_that_is_applied_again_replaces_the_copy_of_its_first_life() {
    let stage = Stage::set().await;
    let postgres = Postgres::start();
    let url = postgres.database("orders");
    load(&stage.gateway, 0..10).await;
    let relay = stage.relay(&["--postgres", &url]).start();
    is_copied(&stage.gateway, &postgres, "orders").await;
    let first = journal(&stage.gateway).await.len();
    purge(&stage).await;
    relay.logs("the sale small is not there any more").await;
    open(&stage.gateway, &definition()).await;
    load(&stage.gateway, 100..103).await;
    is_copied(&stage.gateway, &postgres, "orders").await;
    let lost = postgres.sql("orders", "SELECT count(*) FROM changes WHERE rescinded_at IS NOT NULL");
    assert!(lost.trim().parse::<usize>().unwrap() >= first, "{lost}");
    assert_eq!(postgres.sql("orders", "SELECT count(*) FROM reservations").trim(), "3");
}
