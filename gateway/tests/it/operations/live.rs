//! Tests the live page and its stream: contents, access, cost and endurance.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::Signal;
use testkit::check::refused;
use testkit::definition::{known, open, small, white, with};
use testkit::gateway::{Gateway, OPS_TOKEN, Reply, send};
use testkit::redis::Redis;
use testkit::tls::{Certificate, H2, get, h2_client};
use testkit::{PATIENCE, eventually};

/// Lines of a stream that ends by itself.
async fn lines(gateway: &Gateway, query: &str) -> Vec<Value> {
    let reply = gateway.ops_get(&format!("/admin/v1/live?{query}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    assert_eq!(reply.header("cache-control"), "no-store, no-transform");
    reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn now(gateway: &Gateway) -> Value {
    lines(gateway, "sale=small&frames=1").await.pop().unwrap()
}

/// A call on the ops listener with another Host header.
async fn with_host(gateway: &Gateway, path: &str, host: &str) -> Reply {
    let client = reqwest::Client::new();
    let request = client.get(format!("{}{path}", gateway.ops_url)).header("host", host);
    send(request.bearer_auth(OPS_TOKEN)).await
}

fn stream(gateway: &Gateway) -> reqwest::RequestBuilder {
    reqwest::Client::new().get(format!("{}/admin/v1/live", gateway.ops_url)).bearer_auth(OPS_TOKEN)
}

#[tokio::test]
async fn a_stream_sends_constants_once_and_then_the_numbers() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--audit-interval-s", "1"]).await;
    let nothing = lines(&gateway, "frames=1").await;
    let kinds = |lines: &[Value]| lines.iter().map(|line| line["kind"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&nothing), ["hello", "history", "now"]);
    assert_eq!((&nothing[0]["who"], &nothing[2]["sale"]), (&json!("ops"), &Value::Null));

    open(&gateway, &small()).await;
    let won = gateway
        .reserve("alice", "k1", &json!({"model": "white", "packages": ["cover"], "store": "gz-1"}))
        .await;
    assert_eq!(gateway.reserve("bob", "k1", &white()).await.status, 201);
    assert_eq!(gateway.confirm(&won.id(), "pay", 1).await.status, 200);
    assert_eq!(gateway.action("pause", &json!({"reason": "a look"})).await.status, 200);
    eventually("the gateway reports itself ready", || async {
        (now(&gateway).await["gateways"][0]["state"] == "ready").then_some(())
    })
    .await;
    let answered = eventually("a stream has come to it all", || async {
        let lines = lines(&gateway, "frames=1").await;
        let sale = &lines.last()?["sale"];
        (sale["state"] == "paused" && !sale["ledger"]["audit"].is_null()).then_some(lines)
    })
    .await;
    assert_eq!(kinds(&answered), ["hello", "history", "sale", "now"]);
    let (about, sale) = (&answered[2], &answered[3]["sale"]);
    assert_eq!(
        (&about["sale"], &about["name"], &about["cities"]),
        (&json!("small"), &json!("Small"), &json!(2))
    );
    let names: Vec<_> = about["items"].as_array().unwrap().iter().map(|item| &item["item"]).collect();
    assert_eq!(names, ["model:white", "model:black", "package:cover", "package:care"]);
    let controls: Vec<_> =
        about["actions"].as_array().unwrap().iter().map(|action| &action["action"]).collect();
    assert_eq!(
        controls,
        [
            "pause",
            "resume",
            "freeze",
            "unfreeze",
            "close",
            "standby-suspend",
            "standby-resume",
            "restock",
            "limits"
        ]
    );

    let item = |total: Value, free: Value, held: i64, confirmed: i64| json!({"total": total, "free": free, "aside": 0, "held": held, "confirmed": confirmed});
    assert_eq!(
        sale["items"],
        json!([
            item(json!(60), json!(58), 1, 1),
            item(json!(40), json!(40), 0, 0),
            item(json!(20), json!(19), 0, 1),
            item(Value::Null, Value::Null, 0, 0),
        ])
    );
    let ledger = &sale["ledger"];
    assert_eq!(
        (&ledger["verdict"], &ledger["total"], &ledger["free"], &ledger["drift"]),
        (&json!("balanced"), &json!(100), &json!(98), &json!(0))
    );
    assert_eq!(sale["stores"], json!({"in_stock": 3, "low": 0, "sold_out": 0, "slots": 90, "free": 88}));
    assert_eq!(sale["fullest"], json!([{"city": "Guangzhou", "slots": 90, "free": 88}]));
    let journal: Vec<_> =
        sale["journal"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(journal[0], "ops paused the sale: a look");
    assert!(journal.contains(&"ops defined the sale"), "{journal:?}");
    let gateways = &answered[3]["gateways"];
    assert_eq!((&gateways[0]["here"], &gateways[0]["state"]), (&json!(true), &json!("ready")));
    let alarms = answered[3]["alarms"].as_array().unwrap();
    assert_eq!(alarms.iter().map(|alarm| &alarm["name"]).collect::<Vec<_>>(), ["sale-paused"]);
    // Rates need two reports of the fleet.
    eventually("the gateways' counts are reported", || async {
        let taps = &lines(&gateway, "frames=4").await.pop()?["taps"];
        let won = taps["outcomes"].as_array()?.iter().find(|outcome| outcome["outcome"] == "won")?;
        (won["total"] == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_gateway_reports_the_problems_that_it_sees() {
    let redis = Redis::start();
    let first = Gateway::start(&redis).await;
    let second = Gateway::start(&redis).await;
    open(&first, &small()).await;
    // One that reads the sale later takes the counter for what it is.
    known(&second, "small").await;
    let alarms = |now: &Value| now["alarms"].as_array().unwrap().clone();
    eventually("all is well", || async { alarms(&now(&first).await).is_empty().then_some(()) }).await;
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white 1");
    let drift = eventually("both gateways report the drift", || async {
        let now = lines(&first, "sale=small&frames=3").await.pop()?;
        let alarm = alarms(&now).into_iter().find(|alarm| alarm["name"] == "ledger-drift")?;
        (alarm["gateways"].as_array()?.len() == 2 && now["sale"]["ledger"]["verdict"] == "drift")
            .then_some(alarm)
    })
    .await;
    assert_eq!((&drift["level"], &drift["sale"]), (&json!("fault"), &json!("small")));
    assert!(
        drift["text"].as_str().unwrap().contains("the counter of model:white is 61, the journal has 60"),
        "{drift}"
    );
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white -1");
    eventually("it is forgotten", || async { alarms(&now(&first).await).is_empty().then_some(()) }).await;

    // It opens soon, and is paused: the page shows it before buyers notice.
    let soon = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + 300).unwrap();
    let next = with(with(small(), "/sale/id", json!("next")), "/sale/opens_at", json!(soon.to_string()));
    open(&first, &next).await;
    assert_eq!(first.ops(Method::POST, "/admin/v1/sales/next/pause", &json!({})).await.status, 200);
    let near = eventually("it is reported", || async {
        let alarms = alarms(&now(&first).await);
        alarms.into_iter().find(|alarm| alarm["name"] == "opening-not-ready")
    })
    .await;
    assert_eq!((&near["level"], &near["sale"]), (&json!("warning"), &json!("next")));
    assert!(near["text"].as_str().unwrap().ends_with("the sale is paused."), "{near}");
}

#[tokio::test]
async fn only_an_ops_token_and_the_right_name_open_it() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--ops-host", "ops.shop.example,gateway-1"]).await;
    let absent = send(reqwest::Client::new().get(format!("{}/admin/v1/live", gateway.ops_url))).await;
    refused(&absent, 401, "unauthenticated", &[]);
    for path in ["/", "/live/main.js", "/admin/v1/live?frames=1", "/admin/v1/sales"] {
        for good in ["localhost:9090", "OPS.shop.example", "gateway-1:80", "[::1]"] {
            assert_eq!(with_host(&gateway, path, good).await.status, 200, "{path} at {good}");
        }
        let other = with_host(&gateway, path, "evil.example").await;
        let problem = refused(&other, 421, "misdirected-request", &[]);
        assert!(problem["detail"].as_str().unwrap().contains("--ops-host"), "{problem}");
    }
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(with_host(&gateway, path, "evil.example").await.status, 200, "{path}");
    }
    for (query, problem, status) in [
        ("sale=none", "sale-not-found", 404),
        ("frames=0", "invalid-request", 400),
        ("frames=many", "invalid-request", 400),
        ("colour=red", "invalid-request", 400),
    ] {
        let reply = gateway.ops_get(&format!("/admin/v1/live?{query}")).await;
        refused(&reply, status, problem, &[]);
    }
    assert_eq!(gateway.ops(Method::POST, "/admin/v1/live", &json!({})).await.status, 405);
}

#[tokio::test]
async fn the_page_keeps_to_itself() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let page = gateway.ops_get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let files = page.text.split('"').filter(|word| word.starts_with("/live/"));
    for path in files {
        let file = gateway.ops_get(path).await;
        assert_eq!((file.status, file.header("cache-control")), (200, "no-store"), "{path}");
        assert_eq!(file.header("x-content-type-options"), "nosniff", "{path}");
    }
    assert_eq!(gateway.ops_get("/live/nothing.js").await.status, 404);
    assert_eq!(gateway.get("/").await.status, 404, "not for apps");
}

#[tokio::test]
async fn watchers_are_bounded_and_a_slow_one_delays_no_other() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let mut watching = Vec::new();
    for _ in 0..gateway::ops::live::WATCHERS_MAX {
        let answer = stream(&gateway).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        watching.push(answer);
    }
    let full = gateway.ops_get("/admin/v1/live?frames=1").await;
    let problem = refused(&full, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    assert!(problem["detail"].as_str().unwrap().contains("200 live streams"), "{problem}");
    // None of them reads. The gateway answers everything else, and the numbers go on.
    assert_eq!(gateway.ops_get("/readyz").await.status, 200);
    assert_eq!(gateway.reserve("alice", "k1", &white()).await.status, 201);
    watching.truncate(1);
    eventually("there is room again, and the numbers have gone on", || async {
        let reply = gateway.ops_get("/admin/v1/live?sale=small&frames=1").await;
        (reply.status == 200 && reply.text.contains(r#""held":1"#)).then_some(())
    })
    .await;
    // A reader that resumes gets the present state, in complete lines.
    let mut slow = Reader { answer: watching.pop().unwrap(), text: String::new() };
    slow.wait_for("what has happened", |now| now["sale"]["reservations"]["held"] == 1).await;
}

/// Reads a stream as it comes.
struct Reader {
    answer: reqwest::Response,
    text: String,
}

impl Reader {
    /// Waits for a line of numbers that this is true of.
    async fn wait_for(&mut self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let start = Instant::now();
        loop {
            let chunk = self.answer.chunk().await.unwrap().expect("it goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((line, rest)) = self.text.split_once('\n') {
                let line: Value = serde_json::from_str(line).unwrap();
                self.text = rest.to_owned();
                if line["kind"] == "now" && is_so(&line) {
                    return line;
                }
            }
            assert!(start.elapsed() < PATIENCE, "never reported: {what}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_ends_leaves_the_fleet_and_one_that_crashes_raises_an_alarm() {
    let redis = Redis::start();
    let watched = Gateway::start(&redis).await;
    let mut crashes = Gateway::start(&redis).await;
    let drains = Gateway::start(&redis).await;
    let mut reader = Reader { answer: stream(&watched).send().await.unwrap(), text: String::new() };
    let state = |now: &Value, gateway: &Gateway| {
        let listen = gateway.url.strip_prefix("http://").unwrap().to_owned();
        let found = now["gateways"].as_array().unwrap().iter().find(|row| row["listen"] == listen);
        found.map(|row| row["state"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    reader
        .wait_for("all are ready", |now| {
            [&watched, &crashes, &drains].iter().all(|g| state(now, g) == "ready")
        })
        .await;
    drains.signal(Signal::TERM);
    crashes.kill();
    let now = reader
        .wait_for("both are away", |now| state(now, &crashes) == "gone" && state(now, &drains) == "left")
        .await;
    let names: Vec<_> =
        now["alarms"].as_array().unwrap().iter().map(|alarm| alarm["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gateway-gone"], "{now}");
}

#[tokio::test]
async fn a_late_reader_gets_missing_gateways_history_and_overrides() {
    let redis = Redis::start();
    let stays = Gateway::start(&redis).await;
    let mut crashes = Gateway::start(&redis).await;
    open(&stays, &small()).await;
    eventually("both are known", || async {
        let now = now(&stays).await;
        let ready = |row: &Value| row["state"] == "ready";
        let rows = now["gateways"].as_array()?;
        (rows.len() == 2 && rows.iter().all(ready)).then_some(())
    })
    .await;
    assert_eq!(crashes.reserve("alice", "k", &white()).await.status, 201);
    assert_eq!(stays.ops(Method::PATCH, "/admin/v1/limits", &json!({"buyer": "500:700"})).await.status, 200);
    // No page is open: each read is a stream of one line.
    let totals = |now: &Value| {
        let outcomes = now["taps"]["outcomes"].as_array().cloned().unwrap_or_default();
        outcomes.iter().find(|row| row["outcome"] == "won").map_or(json!(null), |row| row["total"].clone())
    };
    eventually("the tap is counted", || async { (totals(&now(&stays).await) == 1).then_some(()) }).await;
    crashes.kill();
    let seen = eventually("the one that crashed is missed", || async {
        let now = now(&stays).await;
        let names: Vec<&Value> = now["alarms"].as_array()?.iter().map(|alarm| &alarm["name"]).collect();
        names.iter().any(|name| *name == "gateway-gone").then_some(now)
    })
    .await;
    let gone = seen["gateways"].as_array().unwrap().iter().find(|row| row["state"] == "gone").unwrap();
    // 4 s after its last heartbeat, and the age of a report is computed a moment before.
    assert!(gone["report_age_ms"].as_u64().unwrap() >= 3_900, "since its last report: {gone}");
    assert_eq!(totals(&seen), 1, "what it has answered stays: {seen}");
    assert_eq!(seen["limits"], json!([{"policy": "buyer", "rate": "500:700"}]));
    let lines = lines(&stays, "sale=small&frames=1").await;
    let history = lines.iter().find(|line| line["kind"] == "history").unwrap();
    assert!(history["time"].as_array().unwrap().len() >= 4, "{history}");

    // While Redis is stopped, nothing is reported as balanced.
    assert_eq!(seen["sale"]["ledger"]["verdict"], "balanced");
    redis.stop();
    eventually("it is not known whether it balances", || async {
        (now(&stays).await["sale"]["ledger"]["verdict"] == "unknown").then_some(())
    })
    .await;
    redis.signal(Signal::CONT);
}

#[tokio::test]
async fn over_http_2_a_stream_is_not_an_idle_connection() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let options = certificate.options("ops-");
    let options: Vec<&str> =
        options.iter().map(String::as_str).chain(["--idle-timeout-ms", "1000"]).collect();
    let gateway = Gateway::spawn(&redis, &options);
    let h2 = H2::connect(&gateway.ops_url, &h2_client(&cert)).await;
    // Several times as long as a connection may be idle.
    let mut request = get("/admin/v1/live?frames=5");
    request.headers_mut().insert("authorization", format!("Bearer {OPS_TOKEN}").parse().unwrap());
    let reply = h2.send(request).await;
    assert_eq!((reply.status, reply.text.matches(r#""kind":"now""#).count()), (200, 5), "{}", reply.text);
}
