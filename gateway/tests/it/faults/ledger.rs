//! Tests a ledger that was long unreachable, returns older, or has keys of another type.

use reqwest::Method;
use serde_json::json;
use testkit::definition::{known, open, small, with};
use testkit::eventually;
use testkit::gateway::{Gateway, Reply, send, token};
use testkit::redis::Redis;

use crate::faults::callers::{brief, far, stock};
use crate::launch::spike::{balanced, changes, fault, ready, reserve_until_answered, wins};
use crate::recovery::failover::{RedisWithLoss, alarm, release};

#[tokio::test]
async fn an_outage_longer_than_a_hold_expires_no_hold() {
    let mut redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &brief()).await;
    let won = gateway.reserve("alice", "k", &far()).await;
    assert_eq!(won.status, 201, "{}", won.text);
    redis.kill();
    let away = std::time::Instant::now();
    eventually("more time passes than the hold has", || async {
        (away.elapsed().as_millis() > 2_500).then_some(())
    })
    .await;
    redis.start_again().unwrap();

    let path = format!("/v1/sales/small/reservations/{}", won.id());
    eventually("the hold expires", || async {
        let reply = gateway.get_as("alice", &path).await;
        let state = reply.json["state"].as_str().map(str::to_owned);
        assert!(matches!(reply.status, 200 | 503), "{}", reply.text);
        if state.as_deref() == Some("expired") {
            // Not before the new epoch was adopted.
            assert_eq!(changes(&gateway, "adopt").await, 1);
            return Some(());
        }
        None
    })
    .await;

    // The clock that holds are on stood still from the last tick on.
    let deadline: i64 = field(&redis, "reserve", "deadline").parse().unwrap();
    let clock: i64 = field(&redis, "adopt", "clock").parse().unwrap();
    assert!(clock < deadline, "adopted at {clock}, the deadline was {deadline}");
    eventually("the hold is swept", || async { (changes(&gateway, "expire").await == 1).then_some(()) })
        .await;
    let swept: i64 = field(&redis, "expire", "clock").parse().unwrap();
    assert!(swept >= deadline, "swept at {swept}, the deadline was {deadline}");
    balanced(&gateway).await;
}

#[tokio::test]
async fn what_cannot_be_appended_again_keeps_the_sale_still_until_ops_take_the_ledger_as_it_is() {
    let mut redis = RedisWithLoss(Redis::start());
    let gateway = Gateway::start(&redis.0).await;
    open(&gateway, &stock(3)).await;
    let early = reserve_until_answered(&gateway, "early", "k", &far()).await;
    redis.save_files();
    reserve_until_answered(&gateway, "early", "k", &far()).await;
    // Gateways buffer changes to reservations, controls and stock; a definition is a file that
    // operators have.
    open(&gateway, &with(stock(3), "/sale/name", json!("Another name"))).await;
    let lost = reserve_until_answered(&gateway, "lost", "k", &far()).await;
    reserve_until_answered(&gateway, "lost-too", "k", &far()).await;
    for n in 0..8 {
        // More changes that will be gone, so that a ledger which goes on without them is behind for long.
        let action = if n % 2 == 0 { "freeze" } else { "unfreeze" };
        assert_eq!(gateway.action(action, &json!({})).await.status, 200);
    }
    let sold_out = reserve_until_answered(&gateway, "late", "k", &far()).await;
    assert_eq!(sold_out.problem(), "sold-out", "{}", sold_out.text);
    redis.restart_from_saved();

    eventually("the fault is visible", || async { fault(&gateway).await.then_some(()) }).await;
    let list = "/v1/sales/small/reservations";
    let one = format!("{list}/{}", lost.id());
    for answer in [
        gateway.reserve("late", "k", &far()).await,
        gateway.reserve("lost", "k", &far()).await,
        gateway.reserve("early", "k", &far()).await,
        gateway.confirm(&lost.id(), "pay", 1).await,
        gateway.confirm(&early.id(), "pay", 1).await,
        gateway.cancel("lost", &lost.id()).await,
        gateway.amend("lost", &lost.id(), &json!({"store": "gz-1"})).await,
        // Nor does it answer 404 for an acknowledged reservation.
        gateway.get_as("lost", &one).await,
        gateway.get_as("lost", list).await,
    ] {
        assert_fenced(&answer);
    }
    assert!(fault(&gateway).await);

    // Ops take the ledger as it is, and a restarted gateway goes on with it.
    let why = alarm(&redis.0, "it changed the definition").await;
    assert!(why.contains("gateway sale release small --all"), "{why}");
    let (code, output) = release(&redis.0, &["--all"]);
    assert_eq!(code, Some(0), "{output}");
    let restarted = Gateway::start(&redis.0).await;
    known(&restarted, "small").await;
    let again = reserve_until_answered(&restarted, "early", "k", &far()).await;
    assert_eq!((again.status, again.id()), (200, early.id()));
    assert_fenced(&gateway.reserve("late", "k", &far()).await);
    assert!(fault(&gateway).await);

    // The gateway that was not restarted sees the ledger grow past its read model. Its entries of
    // the lost part, such as sold-out items and holders, decide nothing.
    let new = wins(&restarted, "new", "k", &far()).await;
    for n in 0..24 {
        let action = if n % 2 == 0 { "freeze" } else { "unfreeze" };
        assert_eq!(restarted.action(action, &json!({})).await.status, 200);
    }
    eventually("the fault is over", || async { (!fault(&gateway).await).then_some(()) }).await;
    wins(&gateway, "late", "k", &far()).await;
    let again = reserve_until_answered(&gateway, "new", "k", &far()).await;
    assert_eq!((again.status, again.id()), (200, new.id()));
    eventually("the page shows the remaining stock", || async {
        let page = gateway.get("/v1/sales/small").await;
        (page.json["models"][0]["availability"] == "sold_out").then_some(())
    })
    .await;
    balanced(&gateway).await;
}

#[tokio::test]
async fn a_key_of_another_type_stops_its_sale_alone_and_can_be_put_back() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    open(&gateway, &with(small(), "/sale/id", json!("other"))).await;
    let other = "/v1/sales/other/reservations";
    let first = reserve_until_answered(&gateway, "first", "k", &far()).await;
    let keys = ["state", "stock", "records", "journal", "taken", "totals", "definition"];
    for part in keys {
        let key = format!("lg:{{small}}:{part}");
        redis.run::<()>(&format!("RENAME {key} {key}:aside"));
        let wrong = if part == "definition" { "LPUSH" } else { "SET" };
        redis.run::<()>(&format!("{wrong} {key} nonsense"));

        put_off(&gateway.reserve(&format!("b-{part}"), "k", &far()).await);
        put_off(&gateway.reserve("first", "k", &far()).await);
        put_off(&gateway.confirm(&first.id(), "pay", 1).await);
        let audit = gateway.audit().await;
        assert_eq!(audit["verdict"], "drift", "{audit}");
        let problems = audit["problems"].to_string();
        assert!(problems.contains(&key), "{key} in {problems}");
        eventually("the fault is visible", || async { fault(&gateway).await.then_some(()) }).await;
        let tap = gateway
            .request(Method::POST, other)
            .bearer_auth(token(&format!("b-{part}")))
            .header("idempotency-key", "k");
        let tap = send(tap.json(&far())).await;
        assert_eq!(tap.status, 201, "{}", tap.text);
        // A gateway that starts now serves the other sale, and does not answer 404 for this one.
        if part == "stock" {
            let started = Gateway::start(&redis).await;
            known(&started, "other").await;
            put_off(&started.reserve("first", "k", &far()).await);
            eventually("the fault is visible there", || async { fault(&started).await.then_some(()) }).await;
        }

        redis.run::<()>(&format!("RENAME {key}:aside {key}"));
        wins(&gateway, &format!("b-{part}"), "k", &far()).await;
        eventually("the fault is over", || async { (!fault(&gateway).await).then_some(()) }).await;
        balanced(&gateway).await;
    }
    let page = gateway.ops_get("/admin/v1/sales/other/audit").await.json;
    assert_eq!(page["reservations"]["held"], keys.len(), "{page}");
}

#[tokio::test]
async fn a_definition_that_cannot_be_read_does_not_affect_other_sales() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let other = |name: &str| {
        let other = with(small(), "/sale/id", json!("other"));
        with(other, "/sale/name", json!(name))
    };
    open(&gateway, &other("Other")).await;

    // A new definition is announced, and by the time that it is read the key is damaged.
    let key = "lg:{small}:definition";
    let entry = ["kind", "define", "at", "1", "clock", "1", "stock", "", "counts", "0 0 0 0"];
    redis.run::<()>(&format!("RENAME {key} {key}:aside"));
    redis.run::<()>(&format!("LPUSH {key} nonsense"));
    let mut announce = redis::cmd("XADD");
    announce.arg("lg:{small}:journal").arg("2-0").arg(&entry);
    announce.query::<String>(&mut redis.connection()).unwrap();
    // What happens to the other sale is seen all the same, and we stay ready.
    open(&gateway, &other("Renamed")).await;
    eventually("the other sale is followed", || async {
        let page = gateway.get("/v1/sales/other").await;
        (page.json["name"] == "Renamed").then_some(())
    })
    .await;
    ready(&gateway, true).await;
    eventually("the fault is visible", || async { fault(&gateway).await.then_some(()) }).await;
}

#[tokio::test]
async fn a_ledger_of_a_later_version_is_refused_in_words_and_the_other_sales_go_on() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    open(&gateway, &with(small(), "/sale/id", json!("other"))).await;
    redis.run::<()>("HSET lg:{small}:state format 5");
    put_off(&gateway.reserve("alice", "k", &far()).await);
    let why = alarm(&redis, "format 5").await;
    assert!(why.contains("a later version of the gateway has made"), "{why}");
    let tap = gateway.request(Method::POST, "/v1/sales/other/reservations").bearer_auth(token("alice"));
    assert_eq!(send(tap.header("idempotency-key", "k").json(&far())).await.status, 201);
    // A gateway that starts now reports it, too.
    let started = Gateway::start(&redis).await;
    known(&started, "other").await;
    put_off(&started.reserve("alice", "k", &far()).await);
    redis.run::<()>("HSET lg:{small}:state format 2");
    wins(&gateway, "alice", "k", &far()).await;
}

/// 503, by a connection that did not outlive the Redis before, too.
fn assert_fenced(answer: &Reply) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(matches!(answer.problem(), "temporary-reduced-capacity" | "outcome-unknown"), "{}", answer.text);
}

/// 503, and certainly not taken.
fn put_off(answer: &Reply) {
    assert_eq!((answer.status, answer.problem()), (503, "temporary-reduced-capacity"), "{}", answer.text);
}

/// A field of the last journal entry of a kind, as it stands in Redis.
fn field(redis: &Redis, kind: &str, name: &str) -> String {
    let entries: Vec<(String, std::collections::HashMap<String, String>)> =
        redis.run("XREVRANGE lg:{small}:journal + -");
    let entry = entries.into_iter().find(|(_, fields)| fields["kind"] == kind);
    entry.unwrap().1.remove(name).unwrap()
}
