//! Tests what gateways share: membership, ceilings, and rate-limit overrides.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::refused;
use testkit::cli::run;
use testkit::definition::{open, small, white};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

async fn limits(gateway: &Gateway) -> Value {
    let reply = gateway.ops_get("/admin/v1/limits").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json
}

/// One policy of an answer.
fn policy<'a>(limits: &'a Value, name: &str) -> &'a Value {
    limits["policies"].as_array().unwrap().iter().find(|policy| policy["policy"] == name).unwrap()
}

/// Waits until a policy is in force like this at a gateway.
async fn in_force(gateway: &Gateway, name: &str, rate: &str) {
    let what = format!("{name} is {rate}");
    eventually(&what, || async {
        let limits = limits(gateway).await;
        (policy(&limits, name)["in_force"] == rate).then_some(())
    })
    .await;
}

async fn patch(gateway: &Gateway, body: Value) -> testkit::gateway::Reply {
    gateway.ops(Method::PATCH, "/admin/v1/limits", &body).await
}

#[tokio::test]
async fn ceilings_are_divided_by_the_gateways_that_live() {
    let redis = Redis::start();
    let options = ["--limit-gateway", "1000:90", "--limit-sale", "10:1", "--limit-buyer", "20:100"];
    let mut first = Gateway::start_with(&redis, &options).await;
    in_force(&first, "gateway", "1000:90").await;
    let second = Gateway::start_with(&redis, &options).await;
    let third = Gateway::start_with(&redis, &options).await;
    for gateway in [&first, &second, &third] {
        in_force(gateway, "gateway", "334:30").await;
        in_force(gateway, "sale", "4:1").await;
        in_force(gateway, "buyer", "20:100").await;
        assert_eq!(limits(gateway).await["gateways"], 3);
    }
    let fleet = second.ops_get("/admin/v1/fleet").await.json;
    let reports: Vec<&Value> = fleet["gateways"].as_object().unwrap().values().collect();
    let shared = json!(["none", env!("CARGO_PKG_VERSION"), 2, "hs256"]);
    let options =
        |report: &Value| ["durability", "version", "workers", "token_keys"].map(|name| report[name].clone());
    assert!(reports.iter().all(|report| json!(options(report)) == shared), "{fleet}");
    let metrics = second.metrics().await;
    assert_eq!(metrics.of("serve_info{durability=\"none\",workers=\"2\",token_keys=\"hs256\"}"), 1.0);
    let listening: Vec<&Value> = reports.iter().map(|report| &report["listen"]).collect();
    for gateway in [&first, &second, &third] {
        assert!(listening.contains(&&json!(gateway.url.strip_prefix("http://"))), "{fleet}");
    }
    // One that is gone leaves its share to the others.
    first.kill();
    in_force(&second, "gateway", "500:45").await;
    in_force(&third, "gateway", "500:45").await;
}

/// Otherwise a peer that recovers the ledger in that instant would lose what only the new member has acknowledged.
#[tokio::test]
async fn a_gateway_decides_nothing_before_every_peer_has_received_that_it_is_a_member() {
    let redis = Redis::start();
    let mut fleet = vec![Gateway::start(&redis).await];
    open(&fleet[0], &small()).await;
    for count in 2..6 {
        let new = Gateway::spawn(&redis, &[]);
        let tap = eventually("the new member decides", || async {
            let tap = new.reserve(&format!("buyer-{count}"), "k", &white()).await;
            (tap.status == 201).then_some(tap)
        });
        tap.await;
        for peer in &fleet {
            let metrics = peer.ops_get("/metrics").await.text;
            assert!(metrics.contains(&format!("launchgate_fleet_gateways {count}\n")), "not {count}");
        }
        fleet.push(new);
    }
}

#[tokio::test]
async fn a_gateway_reports_its_answers_to_the_fleet() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.reserve("alice", "k", &white()).await.status, 201);
    // A report is of one second, so it is asked for until the one with the tap has come by.
    let mut n = 0;
    eventually("a report counts a tap", || {
        n += 1;
        let (gateway, buyer) = (&gateway, format!("buyer-{n}"));
        async move {
            gateway.reserve(&buyer, "k", &white()).await;
            let fleet = gateway.ops_get("/admin/v1/fleet").await.json;
            let report = fleet["gateways"].as_object()?.values().next()?;
            let counted = report["answers"]["reserve won"].as_u64()?;
            let latencies: u64 = report["winners"].as_array()?.iter().filter_map(Value::as_u64).sum();
            (counted >= 1 && latencies >= counted).then_some(())
        }
    })
    .await;
}

#[tokio::test]
async fn while_redis_is_away_the_last_share_stays() {
    let mut redis = Redis::start();
    // Half of it is room for one read of the sale's page, the whole for two.
    let options = ["--limit-gateway", "2:200", "--cost-status", "100"];
    let first = Gateway::start_with(&redis, &options).await;
    let _second = Gateway::start_with(&redis, &options).await;
    in_force(&first, "gateway", "1:100").await;
    redis.kill();
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(first.get("/v1/time").await.status);
    }
    assert_eq!(answered, [200, 429, 429]);
}

#[tokio::test]
async fn ops_set_rates_for_all_gateways_and_they_outlive_a_restart() {
    let redis = Redis::start();
    let options = ["--limit-buyer", "20:100"];
    let mut first = Gateway::start_with(&redis, &options).await;
    let second = Gateway::start_with(&redis, &options).await;
    let before = limits(&first).await;
    assert_eq!((&before["revision"], &before["changed"]), (&json!(0), &json!(null)));
    assert_eq!(policy(&before, "buyer")["set"], json!(null));

    let set = patch(&first, json!({"buyer": "1:2", "address": "off", "reason": "bots"})).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let shown = policy(&set.json, "buyer");
    let scope = "of each buyer at each gateway";
    let rates = json!({"policy": "buyer", "unit": "units", "scope": scope, "configured": "20:100", "set": "1:2",
        "in_force": "1:2"});
    assert_eq!(shown, &rates);
    let of_sale = policy(&set.json, "sale");
    assert_eq!(
        (&of_sale["unit"], &of_sale["scope"]),
        (&json!("reservations"), &json!("of each sale at all gateways together"))
    );
    assert_eq!(
        (&set.json["changed"]["who"], &set.json["changed"]["reason"]),
        (&json!("ops"), &json!("bots"))
    );
    in_force(&second, "buyer", "1:2").await;
    in_force(&second, "address", "off").await;

    // A bad value changes nothing, and neither does what comes with it.
    for (body, pointer) in [
        (json!({"sale": "5:5", "buyer": "fast"}), "/buyer"),
        (json!({"buyer": "0:1"}), "/buyer"),
        (json!({"gateway": "1:100000001"}), "/gateway"),
        (json!({"buyer": 5}), "/buyer"),
        (json!({"buyers": "5:5"}), "/buyers"),
        (json!({"buyer": "5:5", "reason": "x".repeat(501)}), "/reason"),
    ] {
        let reply = patch(&first, body.clone()).await;
        let problem = refused(&reply, 400, "invalid-request", &["pointer"]);
        assert_eq!(problem["pointer"], pointer, "{body}: {}", reply.text);
    }
    assert_eq!(patch(&first, json!({"reason": "nothing to change"})).await.status, 200);
    let after = limits(&first).await;
    for member in ["revision", "policies", "changed"] {
        assert_eq!(after[member], set.json[member], "{member}");
    }

    first.kill();
    let first = Gateway::start_with(&redis, &options).await;
    in_force(&first, "buyer", "1:2").await;
    // Null puts the configured rate back, wherever it was set.
    let back = patch(&second, json!({"buyer": null})).await;
    assert_eq!((&policy(&back.json, "buyer")["set"], &back.json["revision"]), (&json!(null), &json!(2)));
    in_force(&first, "buyer", "20:100").await;
    in_force(&first, "address", "off").await;
    // An invalid override written into Redis by hand changes nothing.
    redis.run::<i64>("HSET lg:limits buyer many");
    redis.run::<i64>("HSET lg:limits address 7:7");
    let reply = first.ops_get("/admin/v1/limits").await;
    assert_eq!((reply.status, reply.text.contains("buyer")), (503, true), "{}", reply.text);
    redis.run::<i64>("HDEL lg:limits buyer");
    in_force(&first, "address", "7:7").await;
}

#[tokio::test]
async fn the_rate_limit_override_is_set_from_the_command_line_too() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let url = redis.url();
    let limits = |args: &[&str]| run(&[&["limits"], args, &["--redis", &url]].concat());
    let set = limits(&["set", "buyer=3:9", "sale=off", "--reason", "calm"]);
    assert_eq!(set.code, 0, "{}", set.err);
    assert_eq!(set.json()["set"], json!({"buyer": "3:9", "sale": "off"}));
    in_force(&gateway, "buyer", "3:9").await;
    for (bad, answered) in [
        (&["set", "sale=1:1", "buyer=x"][..], "RATE:BURST"),
        (&["set", "buyer"], "buyer=10:20"),
        (&["set", "buyer=1:1", "buyer=2:2"], "twice"),
        (&["set", "all=1:1"], "unverified"),
        (&["set"], "POLICY=RATE"),
    ] {
        let ended = limits(bad);
        assert_eq!((ended.code, ended.err.contains(answered)), (2, true), "{bad:?}: {}", ended.err);
    }
    let shown = limits(&["show", "--json"]);
    assert_eq!(shown.json()["set"], json!({"buyer": "3:9", "sale": "off"}));
    assert_eq!(shown.json()["gateways"].as_object().unwrap().len(), 1);
    assert_eq!(limits(&["set", "buyer=default", "sale=default"]).json()["set"], json!({}));
    in_force(&gateway, "buyer", "off").await;
}
