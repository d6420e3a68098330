//! Tests that every place shows the same condition of a sale: metrics, live page, `/readyz`, admin calls, command line.

use gateway::domain::sale::Condition;
use serde_json::{Value, json};
use testkit::Signal;
use testkit::cli::run;
use testkit::definition::{known, open, small, white, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use crate::faults::callers::far;
use crate::launch::spike::wins;

/// What each place shows of the sale `small`.
async fn shown(gateway: &Gateway, redis: &Redis) -> Vec<String> {
    let metrics = gateway.metrics().await;
    let is_in = |condition: &&str| {
        metrics.find(&format!("sale_phase{{sale=\"small\",phase=\"{condition}\"}}")) == Some(1.0)
    };
    let in_metrics: Vec<&str> = Condition::NAMES.iter().copied().filter(is_in).collect();
    let live = gateway.ops_get("/admin/v1/live?sale=small&frames=1").await.text;
    let live: Value = serde_json::from_str(live.lines().last().unwrap()).unwrap();
    let one = gateway.ops_get("/admin/v1/sales/small").await.json;
    let all = gateway.ops_get("/admin/v1/sales").await.json;
    let readyz = gateway.ops_get("/readyz").await.text;
    let readyz = readyz.lines().find_map(|line| line.strip_prefix("small: ")).unwrap_or_default();
    let listed = run(&["sale", "list", "--redis", &redis.url()]).out;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    vec![
        in_metrics.join(" and "),
        text(&live["sale"]["state"]),
        text(&one["state"]),
        text(&all["sales"][0]["state"]),
        readyz.to_owned(),
        listed.split_whitespace().nth(1).unwrap_or_default().to_owned(),
    ]
}

async fn all_show(gateway: &Gateway, redis: &Redis, condition: &str) {
    let what = format!("all places show {condition}");
    eventually(&what, || async {
        shown(gateway, redis).await.iter().all(|shown| shown == condition).then_some(())
    })
    .await;
}

/// The texts of its alarms of this name.
async fn alarms(gateway: &Gateway, name: &str) -> Vec<String> {
    let live = gateway.ops_get("/admin/v1/live?sale=small&frames=1").await.text;
    let live: Value = serde_json::from_str(live.lines().last().unwrap()).unwrap();
    let alarms = live["alarms"].as_array().cloned().unwrap_or_default();
    let named = alarms.iter().filter(|alarm| alarm["name"] == name && alarm["level"] == "fault");
    named.filter_map(|alarm| alarm["text"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_shows_everywhere_by_whom_and_why_also_at_a_gateway_that_starts_later() {
    let redis = Redis::start();
    let first = Gateway::start(&redis).await;
    open(&first, &small()).await;
    all_show(&first, &redis, "open").await;
    assert_eq!(first.action("freeze", &json!({"reason": "no payments"})).await.status, 200);
    assert_eq!(first.action("pause", &json!({"reason": "a \"bad\" price"})).await.status, 200);
    // Many changes later the pause is still found.
    let later = Gateway::start(&redis).await;
    known(&later, "small").await;
    for gateway in [&first, &later] {
        all_show(gateway, &redis, "paused").await;
        let metric = "launchgate_sale_paused_info{sale=\"small\",by=\"ops\",reason=\"a \\\"bad\\\" price\"}";
        let text = gateway.ops_get("/metrics").await.text;
        assert!(text.contains(&format!("{metric} 1\n")), "{text}");
        let alarm = eventually("the alarm", || async { alarms(gateway, "sale-paused").await.pop() }).await;
        assert!(alarm.contains("ops paused the sale at ") && alarm.contains("(a \"bad\" price)"), "{alarm}");
        let sale = gateway.ops_get("/admin/v1/sales/small").await.json;
        let (pause, freeze) = (&sale["pause"], &sale["freeze"]);
        assert_eq!((&pause["by"], &pause["reason"]), (&json!("ops"), &json!("a \"bad\" price")));
        assert_eq!((&freeze["by"], &freeze["reason"]), (&json!("ops"), &json!("no payments")));
        assert!(pause["at"].as_str() >= freeze["at"].as_str(), "{sale}");
    }
    assert_eq!(first.action("resume", &json!({})).await.status, 200);
    for gateway in [&first, &later] {
        all_show(gateway, &redis, "open").await;
        eventually("no alarm", || async { alarms(gateway, "sale-paused").await.is_empty().then_some(()) })
            .await;
        let text = gateway.ops_get("/metrics").await.text;
        assert!(!text.contains("launchgate_sale_paused_info{"), "{text}");
    }
    let sale = first.ops_get("/admin/v1/sales/small").await.json;
    assert_eq!((&sale["pause"], &sale["freeze"]["by"]), (&Value::Null, &json!("ops")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_fenced_for_operators_and_paused_for_buyers_until_recovery_ends() {
    let mut redis = Redis::start();
    let (one, other) = (Gateway::start(&redis).await, Gateway::start(&redis).await);
    open(&one, &small()).await;
    known(&other, "small").await;
    wins(&one, "first", "k", &far()).await;
    // Recovery waits for its report.
    other.signal(Signal::STOP);
    redis.kill();
    redis.start_again().unwrap();
    eventually("recovery waits", || async {
        let alarm = alarms(&one, "ledger-fault").await.pop()?;
        (alarm.starts_with("The sale is fenced, buyers can't reserve") && alarm.contains("report"))
            .then_some(())
    })
    .await;
    assert_eq!(shown(&one, &redis).await, ["fenced"; 6]);
    assert_eq!(one.phase().await, "paused");
    other.signal(Signal::CONT);
    all_show(&one, &redis, "open").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ledger_is_halted_and_a_lost_redis_is_the_first_alarm() {
    let mut redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.reserve("ada", "k", &white()).await.status, 201);
    redis.run::<()>("RENAME lg:{small}:stock lg:{small}:away");
    eventually("the alarm", || async {
        let alarm = alarms(&gateway, "ledger-fault").await.pop()?;
        alarm.starts_with("The sale is halted, buyers can't reserve").then_some(())
    })
    .await;
    all_show_in_gateway(&gateway, "halted").await;
    redis.run::<()>("RENAME lg:{small}:away lg:{small}:stock");
    all_show(&gateway, &redis, "open").await;

    redis.kill();
    let first = eventually("the alarm", || async {
        first_alarm(&gateway).await.filter(|alarm| alarm["name"] == "redis-unreachable")
    })
    .await;
    let text = first["text"].as_str().unwrap();
    assert!(text.starts_with("Redis can't be reached: nothing is sold"), "{text}");
    redis.start_again().unwrap();
    all_show(&gateway, &redis, "open").await;
}

async fn first_alarm(gateway: &Gateway) -> Option<Value> {
    let live = gateway.ops_get("/admin/v1/live?sale=small&frames=1").await.text;
    let live: Value = serde_json::from_str(live.lines().last()?).ok()?;
    live["alarms"].get(0).cloned()
}

/// Of the places that need no definition.
async fn all_show_in_gateway(gateway: &Gateway, condition: &str) {
    eventually("the gateway shows it", || async {
        let metrics = gateway.metrics().await;
        let series = format!("sale_phase{{sale=\"small\",phase=\"{condition}\"}}");
        let readyz = gateway.ops_get("/readyz").await.text;
        (metrics.find(&series) == Some(1.0) && readyz.contains(&format!("small: {condition}\n")))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stops_a_sale_works_while_redis_takes_no_writes_for_lack_of_replicas() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    redis.run::<()>("CONFIG SET min-replicas-to-write 2");
    let tap = gateway.reserve("ada", "k", &white()).await;
    assert_eq!(tap.status, 503, "{}", tap.text);
    let first = eventually("the alarm", || async {
        first_alarm(&gateway).await.filter(|alarm| alarm["name"] == "redis-no-replicas")
    })
    .await;
    assert!(first["text"].as_str().unwrap().starts_with("Redis takes no writes"), "{first}");
    // A user that may not lift the setting learns what to do.
    redis.run::<()>("ACL SETUSER default -config|set");
    let denied = gateway.action("pause", &json!({})).await;
    assert_eq!(denied.status, 503, "{}", denied.text);
    assert!(denied.text.contains("CONFIG SET min-replicas-to-write 0, then repeat this"), "{}", denied.text);
    redis.run::<()>("ACL SETUSER default +config|set");
    redis.run::<()>("CONFIG RESETSTAT");
    let paused = gateway.action("pause", &json!({"reason": "replicas are away"})).await;
    assert_eq!((paused.status, &paused.json["paused"]), (200, &json!(true)), "{}", paused.text);
    let frozen =
        run(&["sale", "freeze", "small", "--redis", &redis.url(), "--reason", "x", "--confirm", "small"]);
    assert!(frozen.code == 0 && frozen.err.contains("no replica has it yet"), "{frozen:?}");
    // What lets it go on waits for them, and the setting is as it was.
    assert_eq!(gateway.action("resume", &json!({})).await.status, 503);
    assert_eq!(redis.run::<Vec<String>>("CONFIG GET min-replicas-to-write")[1], "2");
    // In transactions: a connection that is lost in between leaves nothing lifted.
    let calls = redis.run::<String>("INFO commandstats");
    assert!(
        calls.contains("cmdstat_exec:calls=2,") && calls.contains("cmdstat_config|set:calls=4,"),
        "{calls}"
    );
    redis.run::<()>("CONFIG SET min-replicas-to-write 0");
    assert_eq!(gateway.action("resume", &json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn taps_are_counted_by_sale() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &with(small(), "/model/0/stock", json!(1))).await;
    for (sub, status) in [("ada", 201), ("ada", 200), ("bob", 409)] {
        let reply = gateway.reserve(sub, "k", &white()).await;
        assert_eq!(reply.status, status, "{}", reply.text);
    }
    for _ in 0..3 {
        let unknown = gateway.tap_at("other", "ada", "k", &white()).send().await.unwrap();
        assert_eq!(unknown.status(), 404);
    }
    let metrics = eventually("all are counted", || async {
        let metrics = gateway.metrics().await;
        let all = metrics.sum("requests_total", &[("route", "reserve")]);
        (all == 6.0).then_some(metrics)
    })
    .await;
    for (outcome, count) in [("won", 1.0), ("replayed", 1.0), ("sold-out", 1.0), ("sale-not-found", 0.0)] {
        let series = format!("taps_total{{sale=\"small\",outcome=\"{outcome}\"}}");
        assert_eq!(metrics.of(&series), count, "{outcome}");
    }
    for (result, count) in [("won", 2.0), ("refused", 1.0), ("undecided", 0.0)] {
        let series = format!("tap_duration_seconds_count{{sale=\"small\",result=\"{result}\"}}");
        assert_eq!(metrics.of(&series), count, "{result}");
    }
    assert_eq!(metrics.sum("taps_total", &[("sale", "other")]), 0.0);
}
