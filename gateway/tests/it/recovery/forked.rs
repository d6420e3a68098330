//! Tests readers of the journal when its history changes below them: they find a fork, and skip nothing.

use gateway::domain::decision::Decision;
use gateway::domain::identity::reservation_id;
use gateway::manage::admin::{Actor, Fence, JournalRead, OperatorAction, Performed};
use gateway::reserve::changes::{self, Change, Requester};
use gateway::store::journal::Cursor;
use serde_json::{Value, json};
use testkit::Signal;
use testkit::check::refused;
use testkit::cli::{Running, run};
use testkit::definition::{known, open};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply};
use testkit::redis::Redis;

use crate::contract::admin::SALE;
use crate::faults::callers::{far, stock};
use crate::launch::spike::{balanced, journal, ready, reserve_until_answered};
use crate::model::crash::Past;
use crate::model::instance::Instance;
use crate::model::sale::Clocks;
use crate::model::world::Ledger;
use crate::model::{World, paid, tap};
use crate::operations::archive::sale;
use crate::recovery::failover::{RedisWithLoss, release, wait_until_recovered};
use crate::recovery::replaced::applied;

async fn read_from(gateway: &Gateway, cursor: &str) -> Reply {
    gateway.ops_get(&format!("{SALE}/journal?from={cursor}")).await
}

fn cursor_of(line: &Value) -> &str {
    line["cursor"].as_str().unwrap()
}

fn buyers(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .filter(|line| line["kind"] == "reserve")
        .map(|line| line["buyer"].as_str().unwrap())
        .collect()
}

fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The last common cursor in a refusal.
fn forked(reply: &Reply) -> String {
    refused(reply, 409, "journal-forked", &["cursor"]);
    reply.json["cursor"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_reader_whose_changes_were_lost_finds_a_fork_and_skips_none_of_the_new_ones() {
    let mut redis = RedisWithLoss(Redis::start());
    let mut gateway = Gateway::start(&redis.0).await;
    open(&gateway, &stock(50)).await;
    for n in 0..30 {
        reserve_until_answered(&gateway, &format!("early-{n}"), "k", &far()).await;
    }
    redis.save_files();
    for sub in ["two", "three", "four"] {
        reserve_until_answered(&gateway, sub, "k", &far()).await;
    }
    let url = redis.0.url();
    let follower = Running::start(&["journal", "small", "--follow", "--redis", &url]);
    let (read, follower) = tokio::task::spawn_blocking(move || {
        let mut read: Vec<Value> = Vec::new();
        while read.last().is_none_or(|line| line["buyer"] != "four") {
            read.push(follower.line());
        }
        (read, follower)
    })
    .await
    .unwrap();
    let from = cursor_of(read.last().unwrap());
    gateway.kill();
    redis.restart_from_saved();

    // Nothing serves it: recovery might yet replay what is missing. Only a look at it is answered, with a warning.
    let fenced = run(&["journal", "small", "--from", from, "--redis", &url]);
    assert!(fenced.code == 3 && fenced.err.contains("restarted or replaced"), "{fenced:?}");
    let looked = run(&["journal", "small", "--redis", &url]);
    assert!(looked.code == 0 && looked.err.contains("the sale is fenced"), "{looked:?}");
    assert_eq!(buyers(&looked.lines()).last(), Some(&"early-29"));
    let gateway = Gateway::spawn(&redis.0, &[]);
    eventually("the ledger is served as it is", || async {
        // The gateway that died may be waited for.
        release(&redis.0, &["--all"]);
        let reply = gateway.reserve("five", "k", &far()).await;
        matches!(reply.status, 200 | 201).then_some(())
    })
    .await;
    for sub in ["six", "seven", "eight"] {
        reserve_until_answered(&gateway, sub, "k", &far()).await;
    }

    let ended = tokio::task::spawn_blocking(|| follower.end()).await.unwrap();
    assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
    assert!(ended.err.contains("journal of small has forked"), "{ended:?}");
    let common = forked(&read_from(&gateway, from).await);
    assert!(ended.err.contains(&format!("--follow --from '{common}'")), "{ended:?}");
    // From there on everything comes, and nothing that is common is before it.
    let again = lines(&read_from(&gateway, &common).await);
    let now = buyers(&again);
    assert!(now.ends_with(&["five", "six", "seven", "eight"]), "{now:?}");
    assert!(read.iter().any(|line| cursor_of(line).split('~').next() == common.split('~').next()));
    assert!(!now.contains(&"two") && !now.contains(&"early-0"), "{now:?}");
    let printed = run(&["journal", "small", "--from", &common, "--redis", &url]);
    assert_eq!(printed.lines(), again);
    // Without `--follow` it is no empty success either.
    let once = run(&["journal", "small", "--from", from, "--redis", &url]);
    assert!(once.code == 1 && once.out.is_empty() && once.err.contains(&common), "{once:?}");
    balanced(&gateway).await;
}

#[tokio::test]
async fn a_cursor_of_a_purged_sale_gives_the_start_of_the_one_that_was_applied_after_it() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &stock(50)).await;
    for n in 0..10 {
        let won = reserve_until_answered(&gateway, &format!("rehearsal-{n}"), "k", &far()).await;
        assert_eq!(gateway.confirm(&won.id(), "pay", 1).await.status, 200);
    }
    let before = journal(&gateway).await;
    assert_eq!(gateway.action("close", &json!({})).await.status, 200);
    let export = redis.files().join("export").to_str().unwrap().to_owned();
    for args in
        [&["export", "small", &export][..], &["purge", "small", "--export", &export, "--confirm", "small"]]
    {
        let done = sale(&redis, args);
        assert_eq!(done.code, 0, "{done:?}");
    }
    open(&gateway, &stock(50)).await;
    // As many as before, and the next ones beyond them.
    for n in 0..25 {
        reserve_until_answered(&gateway, &format!("winner-{n}"), "k", &far()).await;
    }
    ready(&gateway, true).await;
    let url = redis.url();
    for line in &before {
        assert_eq!(forked(&read_from(&gateway, cursor_of(line)).await), "0-0", "{line}");
    }
    let from = cursor_of(before.last().unwrap());
    for follow in [&[][..], &["--follow"]] {
        let ended = run(&[&["journal", "small", "--from", from, "--redis", &url], follow].concat());
        assert!(ended.code == 1 && ended.out.is_empty(), "{ended:?}");
        assert!(ended.err.contains("--from '0-0'") && ended.err.contains("purged"), "{ended:?}");
    }
    assert_eq!(buyers(&lines(&read_from(&gateway, "0-0").await)).len(), 25);
}

#[tokio::test]
async fn a_fenced_sale_is_not_read_and_readers_go_on_after_its_recovery() {
    let mut redis = RedisWithLoss(Redis::start());
    let (gateway, other) = (Gateway::start(&redis.0).await, Gateway::start(&redis.0).await);
    open(&gateway, &stock(50)).await;
    known(&other, "small").await;
    eventually("both are members", || async {
        (gateway.metrics().await.of("fleet_gateways") == 2.0).then_some(())
    })
    .await;
    redis.save_files();
    for sub in ["one", "two", "three"] {
        reserve_until_answered(&gateway, sub, "k", &far()).await;
    }
    let before = journal(&gateway).await;
    let from = cursor_of(before.last().unwrap()).to_owned();
    // It is waited for.
    other.signal(Signal::STOP);
    redis.restart_from_saved();

    let fenced = eventually("the gateway has noticed", || async {
        Some(read_from(&gateway, &from).await).filter(|reply| reply.text.contains("restarted or replaced"))
    })
    .await;
    refused(&fenced, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    assert!(!fenced.header("retry-after").is_empty());
    other.signal(Signal::CONT);
    wait_until_recovered(&gateway).await;

    let after = lines(&read_from(&gateway, &from).await);
    assert_eq!(after[0]["kind"], "adopt", "nothing was lost: {after:?}");
    assert_eq!(journal(&gateway).await[..before.len()], before[..]);
}

/// What follows the cursor in a journal of the ledger, or the last common cursor.
pub async fn read_on(ledger: &Ledger, sale: &str, from: Cursor) -> Result<Vec<(Cursor, Value)>, Cursor> {
    match ledger.admin.journal(sale, from, 100, Fence::Respect).await.unwrap() {
        JournalRead::Page(page) => Ok(page.lines),
        JournalRead::Forked(common) => Err(common),
    }
}

/// A gateway reserves for Ada and Bob in one batch, and the one with the answers to Ada, or to both, has all that
/// followed. Redis loses it, and gets back what that gateway has acknowledged. Returns the lines that were read before.
async fn lose_a_batch(ledger: &Ledger, sale: &str, had_answer: bool) -> Vec<(Cursor, Value)> {
    let mut past = Past::new(ledger, 1);
    past.note(ledger, sale, Clocks::default(), false).await;
    let here: Instance = ledger.instance(0, sale).await;
    let taps = [tap("ada", "k"), tap("bob", "k")];
    if had_answer {
        assert!(matches!(here.reserve(&taps, false).await[..], [Decision::Won(..), Decision::Won(..)]));
    } else {
        let elsewhere = ledger.instance(1, sale).await;
        assert!(matches!(elsewhere.reserve(&taps, false).await[..], [Decision::Won(..), Decision::Won(..)]));
        assert!(matches!(here.reserve(&taps[..1], false).await[..], [Decision::Replayed(..)]));
    }
    let (redis, at, ada) = (&here.redis_connection, &here.sale, reservation_id(sale, "ada", "k"));
    assert!(matches!(changes::confirm(redis, at, &ada, paid(1)).await, Change::Done(..)));
    let who = Actor { who: "ops".into(), reason: Some("a NUL \0, and\na line".into()) };
    let paused = ledger.admin_of(&here).perform(sale, OperatorAction::Pause, &who).await;
    assert_eq!(paused, Ok(Performed::Done));
    assert!(matches!(changes::cancel(redis, at, &ada, Requester::Service).await, Change::Done(..)));
    let read = read_on(ledger, sale, Cursor::START).await.unwrap();
    let kinds: Vec<&str> = read.iter().map(|(_, line)| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["define", "reserve", "reserve", "confirm", "pause", "cancel"]);
    assert_eq!(read[4].1["reason"], "a NUL \0, and\na line");
    past.crash(ledger, std::slice::from_ref(&here), 0).await;
    read
}

/// The batch may have had more winners than the one that a retry showed, and it had: they are lost, and no later change
/// shows it. So every reader that was past the sale's definition has to find a fork, not only one at the batch.
#[test]
fn a_reader_of_what_followed_a_batch_that_was_acknowledged_in_part_finds_a_fork() {
    let world = World::start();
    world.run(async {
        let (ledger, sale) = applied(&world).await;
        let read = lose_a_batch(&ledger, &sale, false).await;
        let now = read_on(&ledger, &sale, read[0].0).await.unwrap();
        let of = |lines: &[(Cursor, Value)]| {
            lines.iter().map(|(_, line)| line["kind"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of(&now), ["reserve", "confirm", "pause", "cancel", "adopt"], "Bob is lost");
        for (cursor, line) in &read[1..] {
            let common = read_on(&ledger, &sale, *cursor).await.expect_err(&line.to_string());
            assert!(common.sequence <= 1, "{line}: {common}");
        }
    });
}

/// Nothing is lost of a batch whose whole answer a gateway has: what it replays keeps its cursors.
#[test]
fn a_reader_of_what_followed_a_batch_that_was_acknowledged_whole_reads_on() {
    let world = World::start();
    world.run(async {
        let (ledger, sale) = applied(&world).await;
        let read = lose_a_batch(&ledger, &sale, true).await;
        let now = read_on(&ledger, &sale, Cursor::START).await.unwrap();
        assert_eq!((&now[..read.len()], now.len()), (&read[..], read.len() + 1));
        for (at, (cursor, line)) in read.iter().enumerate() {
            assert_eq!(read_on(&ledger, &sale, *cursor).await.as_deref(), Ok(&now[at + 1..]), "{line}");
        }
    });
}
