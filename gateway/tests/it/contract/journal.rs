//! Tests the journal as a feed: its lines, its cursors, its pages.

use gateway::ops::feed::WAITING_MAX;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::Signal;
use testkit::check::refused;
use testkit::cli::run;
use testkit::definition::{open, small, white, with};
use testkit::eventually;
use testkit::gateway::{Gateway, OPS_TOKEN, Reply, send};
use testkit::redis::Redis;

use crate::contract::admin::{SALE, journal};

async fn page(gateway: &Gateway, query: &str) -> Reply {
    gateway.ops_get(&format!("{SALE}/journal{query}")).await
}

#[tokio::test]
async fn a_line_has_the_whole_reservation_as_the_public_api_shows_it() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let body = json!({"model": "white", "packages": ["cover", "care"], "store": "gz-1"});
    let held = gateway.reserve("alice", "k", &body).await;
    let amended = gateway.amend("alice", &held.id(), &json!({"packages": ["care"]})).await;
    let confirmed = gateway.confirm(&held.id(), "pay-1", 2).await;
    let lines = journal(&gateway).await;
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["define", "reserve", "amend", "confirm"]);
    for (line, shown) in lines[1..].iter().zip([&held, &amended, &confirmed]) {
        for name in [
            "sale",
            "number",
            "version",
            "state",
            "model",
            "packages",
            "store",
            "unavailable",
            "price",
            "held_at",
        ] {
            assert_eq!(line[name], shown.json[name], "{name}: {line}");
        }
        assert_eq!((&line["reservation"], &line["buyer"]), (&shown.json["id"], &json!("alice")));
        // By the clocks of the change, so that a line never changes; the API estimates anew.
        assert_eq!(line["expires_at"].is_null(), shown.json["expires_at"].is_null(), "{line}");
    }
    assert_eq!(lines[1]["expires_at"], held.json["expires_at"], "nothing was frozen");
    assert_eq!((&lines[2]["payment"], &lines[3]["payment"]), (&Value::Null, &json!("pay-1")));
    assert_eq!(lines[1]["price"]["lines"].as_array().unwrap().len(), 3);
    assert_eq!(lines[2]["price"]["total"], 4_999_900 + 59_900);
    // The command prints the same, and so does the support lookup, but for what a cursor says of older changes.
    let printed = run(&["journal", "small", "--redis", &redis.url()]);
    assert_eq!(printed.lines(), lines);
    let support = gateway.ops_get(&format!("{SALE}/buyers/alice")).await.json;
    let mut support: Vec<Value> = support["journal"].as_array().unwrap().clone();
    let mut lines = lines[1..].to_vec();
    for line in support.iter_mut().chain(&mut lines) {
        line.as_object_mut().unwrap().remove("cursor").unwrap();
    }
    assert_eq!(support, lines);
}

#[tokio::test]
async fn a_package_that_was_added_later_has_its_price_in_the_journal_at_once() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let first = gateway.reserve("alice", "k", &white()).await;
    assert_eq!(first.status, 201);
    let mut more = small();
    more["package"].as_array_mut().unwrap().push(json!({"id": "roof", "name": "Roof", "price": 777}));
    open(&gateway, &more).await;
    let body = json!({"model": "black", "packages": ["roof"], "store": "sh-1"});
    assert_eq!(gateway.reserve("bob", "k", &body).await.status, 201);
    let lines = journal(&gateway).await;
    let printed = run(&["journal", "small", "--redis", &redis.url()]);
    for line in [lines.last().unwrap(), printed.lines().last().unwrap()] {
        assert_eq!(line["price"]["lines"][1], json!({"item": "package:roof", "amount": 777}), "{line}");
    }
}

#[tokio::test]
async fn a_page_says_how_far_the_ledger_is_and_its_cursor_leads_on() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    for n in 0..5 {
        assert_eq!(gateway.reserve(&format!("b-{n}"), "k", &white()).await.status, 201);
    }
    let all = journal(&gateway).await;
    let sequence = gateway.audit().await["sequence"].to_string();
    let (mut from, mut read) = ("0-0".to_owned(), Vec::new());
    loop {
        let reply = page(&gateway, &format!("?from={from}&limit=1")).await;
        assert_eq!((reply.status, reply.header("launchgate-sequence")), (200, &*sequence), "{}", reply.text);
        assert_eq!(reply.header("content-type"), "application/x-ndjson");
        let Some(line) = reply.text.lines().next() else { break };
        read.push(serde_json::from_str::<Value>(line).unwrap());
        from = read.last().unwrap()["cursor"].as_str().unwrap().to_owned();
        assert!(from.chars().all(|c| c.is_ascii_alphanumeric() || "-_/~".contains(c)), "{from}");
    }
    assert_eq!(read, all);
    let head = send(gateway.ops_request(Method::HEAD, &format!("{SALE}/journal"), OPS_TOKEN)).await;
    assert_eq!((head.status, head.header("launchgate-sequence"), &*head.text), (200, &*sequence, ""));
}

#[tokio::test]
async fn a_cursor_without_a_history_is_for_looking_things_up_only() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    let lines = journal(&gateway).await;
    let whole = lines[0]["cursor"].as_str().unwrap();
    let other = if whole.ends_with('A') { "B" } else { "A" };
    let damaged = format!("{}{other}", &whole[..whole.len() - 1]);
    for bare in ["1-0", "1-0/1", "2-0"] {
        let reply = page(&gateway, &format!("?from={bare}")).await;
        refused(&reply, 400, "invalid-request", &[]);
        assert!(reply.json["detail"].as_str().unwrap().contains("whole `cursor`"), "{}", reply.text);
        let follow = run(&["journal", "small", "--follow", "--from", bare, "--redis", &redis.url()]);
        assert!(follow.code == 2 && follow.err.contains("whole `cursor`"), "{follow:?}");
        let once = run(&["journal", "small", "--from", bare, "--redis", &redis.url()]);
        assert_eq!(once.code, 0, "{once:?}");
        // Its lines lead on.
        for line in once.lines() {
            assert_eq!(
                page(&gateway, &format!("?from={}", line["cursor"].as_str().unwrap())).await.status,
                200
            );
        }
    }
    for wrong in ["yesterday", "1-0/1~", "1-0/1~AAAA", "0-0/1", &damaged] {
        let reply = page(&gateway, &format!("?from={wrong}")).await;
        let expected = if wrong == damaged { "journal-forked" } else { "invalid-request" };
        assert_eq!(reply.problem(), expected, "{wrong}: {}", reply.text);
    }
    // The digests are those of this place only.
    let moved = whole.replacen("1-0/1", "2-0/1", 1);
    refused(&page(&gateway, &format!("?from={moved}")).await, 400, "invalid-request", &[]);
}

#[tokio::test]
async fn a_reader_can_wait_for_the_next_change() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let from = journal(&gateway).await[0]["cursor"].as_str().unwrap().to_owned();
    let there = page(&gateway, "?wait=60s").await;
    assert_eq!(there.text.lines().count(), 1, "it does not wait for what is there: {}", there.text);
    let none = page(&gateway, &format!("?from={from}&wait=50ms")).await;
    assert_eq!((none.status, &*none.text, none.header("launchgate-sequence")), (200, "", "1"));

    let waiting = (0..20).map(|_| {
        let gateway = &gateway;
        let path = format!("?from={from}&wait=60000ms");
        async move { page(gateway, &path).await }
    });
    let tap = async {
        // All of them wait by now, or come too late to wait: both answers are the same.
        tokio::task::yield_now().await;
        gateway.reserve("alice", "k", &white()).await
    };
    let (pages, tap) = futures_util::future::join(futures_util::future::join_all(waiting), tap).await;
    assert_eq!(tap.status, 201);
    for page in pages {
        assert_eq!(
            (&page.json["buyer"], page.header("launchgate-sequence")),
            (&json!("alice"), "2"),
            "{}",
            page.text
        );
    }
    let head = format!("{SALE}/journal?from={from}&wait=60s");
    let head = send(gateway.ops_request(Method::HEAD, &head, OPS_TOKEN)).await;
    assert_eq!((head.status, head.header("launchgate-sequence")), (200, "2"));
    for wrong in ["61s", "1h", "-1s", "1.5s", "5", "", "now"] {
        let reply = page(&gateway, &format!("?wait={wrong}")).await;
        refused(&reply, 400, "invalid-request", &[]);
        assert!(reply.json["detail"].as_str().unwrap().contains("at most 60s"), "{}", reply.text);
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_token_with_the_gateway_and_with_the_sale() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ops");
    let relay = "relay-relay-relay-relay-relay-00";
    let all = format!("maja {OPS_TOKEN}\nrelay {relay} feed\n");
    std::fs::write(&file, &all).unwrap();
    let options = ["--ops-token-file", file.to_str().unwrap(), "--drain-delay-ms", "2000"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let from = journal(&gateway).await[0]["cursor"].as_str().unwrap().to_owned();
    let path = format!("{SALE}/journal?from={from}&wait=60s");
    let waiting = |token: &str| tokio::spawn(send(gateway.ops_request(Method::GET, &path, token)));
    // They wait once they have read.
    let reads = || redis.run::<String>("INFO commandstats").contains("cmdstat_xrange");
    let (of_relay, of_maja) = (waiting(relay), waiting(OPS_TOKEN));
    eventually("they have read", || async { reads().then_some(()) }).await;

    std::fs::write(&file, format!("maja {OPS_TOKEN}\n")).unwrap();
    refused(&of_relay.await.unwrap(), 401, "unauthenticated", &[]);
    // The sale is gone with all its keys, as after a purge.
    let keys: Vec<String> = redis.run("KEYS lg:{small}:*");
    redis.run::<i64>(&format!("DEL {}", keys.join(" ")));
    refused(&of_maja.await.unwrap(), 404, "sale-not-found", &[]);
    let again = with(small(), "/sale/id", json!("other"));
    open(&gateway, &again).await;
    let lines = gateway.ops_get("/admin/v1/sales/other/journal").await;
    let from = lines.json["cursor"].as_str().unwrap();
    let path = format!("/admin/v1/sales/other/journal?from={from}&wait=60s");
    let waits = tokio::spawn(send(gateway.ops_request(Method::GET, &path, OPS_TOKEN)));
    gateway.signal(Signal::TERM);
    let ended = waits.await.unwrap();
    // Or it came when the gateway had ended.
    assert!(matches!((ended.status, &*ended.text), (200, "") | (0, _)), "{}", ended.text);
}

#[tokio::test]
async fn a_bounded_number_of_readers_wait() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let from = journal(&gateway).await[0]["cursor"].as_str().unwrap().to_owned();
    let path = format!("{SALE}/journal?from={from}&wait=60s");
    let all: Vec<_> = (0..WAITING_MAX + 1)
        .map(|_| tokio::spawn(send(gateway.ops_request(Method::GET, &path, OPS_TOKEN))))
        .collect();
    let (first, _, rest) = futures_util::future::select_all(all).await;
    let first = first.unwrap();
    refused(&first, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    assert!(first.json["detail"].as_str().unwrap().contains("200 readers"), "{}", first.text);
    assert_eq!(page(&gateway, &format!("?from={from}")).await.status, 200, "without a wait it is answered");
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    for reply in futures_util::future::join_all(rest).await {
        assert_eq!(reply.unwrap().json["buyer"], "alice");
    }
}
