//! Time as apps and the payment service see it, over HTTP, with gateways in this process whose clock the test moves.

use gateway::config::{CommonOptions, ServeOptions, Settings};
use gateway::ledger::scripts::Scripts;
use gateway::serve::serve;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::harness::gateway::{OPS_TOKEN, Reply, SECRET, send, service_token, token};
use crate::harness::redis::Redis;
use crate::harness::sale::{small, white, with};
use crate::harness::{eventually, redis};
use crate::model::START;
use crate::model::world::TEST_CLOCK;

const SALE: &str = "/v1/sales/small";

/// A gateway in this process. Its threads end with the process.
struct Inside {
    url: String,
    ops_url: String,
    client: Client,
    _files: tempfile::TempDir,
}

impl Inside {
    async fn start(redis: &Redis) -> Self {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        std::fs::write(path("secret"), SECRET).unwrap();
        std::fs::write(path("ops"), format!("ops {OPS_TOKEN}\n")).unwrap();
        let options = format!(
            "listen = \"127.0.0.1:0\"\nops-listen = \"127.0.0.1:0\"\nworkers = 1\nredis = {:?}\nauth-secret-file = {:?}\nops-token-file = {:?}\n",
            redis.url(),
            path("secret"),
            path("ops"),
        );
        std::fs::write(path("options"), options).unwrap();
        let common = CommonOptions { config: Some(path("options").into()), ..CommonOptions::default() };
        let config = Settings::new(&common, Some(&ServeOptions::default())).serve();
        let config = config.map_err(|problems| problems.join("\n")).unwrap();
        let (ready, addresses) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            serve(config, Scripts::new(TEST_CLOCK), |addresses| _ = ready.send(addresses))
        });
        let addresses = addresses.await.unwrap();
        let inside = Self {
            url: format!("http://{}", addresses.public),
            ops_url: format!("http://{}", addresses.ops),
            client: Client::new(),
            _files: files,
        };
        eventually("the gateway is ready", || async {
            (inside.ops(Method::GET, "/readyz", &Value::Null).await.status == 200).then_some(())
        })
        .await;
        inside
    }

    async fn ops(&self, method: Method, path: &str, body: &Value) -> Reply {
        let request = self.client.request(method, format!("{}{path}", self.ops_url));
        send(request.bearer_auth(OPS_TOKEN).json(body)).await
    }

    async fn open(&self, definition: &Value) {
        let applied = self.ops(Method::PUT, "/admin/v1/sales/small", definition).await;
        assert_eq!(applied.status, 200, "{}", applied.text);
    }

    async fn phase(&self) -> String {
        let page = send(self.client.get(format!("{}{SALE}", self.url))).await;
        page.json["phase"].as_str().unwrap_or_default().to_owned()
    }

    async fn tap(&self, sub: &str, key: &str) -> Reply {
        let request = self.client.post(format!("{}{SALE}/reservations", self.url));
        send(request.bearer_auth(token(sub)).header("idempotency-key", key).json(&white())).await
    }

    async fn call(&self, method: Method, token: String, id: &str, word: &str, body: &Value) -> Reply {
        let url = format!("{}{SALE}/reservations/{id}{word}", self.url);
        send(self.client.request(method, url).bearer_auth(token).json(body)).await
    }

    async fn state(&self, id: &str) -> String {
        let reply = self.call(Method::GET, service_token(), id, "", &Value::Null).await;
        reply.json["state"].as_str().unwrap_or_default().to_owned()
    }

    async fn sale_clock(&self, redis: &Redis) -> i64 {
        redis.run::<String>("HGET lg:{small}:state clock").parse().unwrap()
    }
}

fn set_time(redis: &redis::Redis, ms: i64) {
    redis.run::<()>(&format!("SET lg:test-now {}", START + ms));
}

/// Lets `TIME` run until the sale clock is there; the gateways' own reapers tick.
async fn run_until(inside: &Inside, redis: &Redis, time: &mut i64, clock: i64) {
    while inside.sale_clock(redis).await < clock {
        let at = inside.sale_clock(redis).await;
        *time += (clock - at).min(2_000);
        set_time(redis, *time);
        let ticked = || async { (inside.sale_clock(redis).await > at).then_some(()) };
        eventually("a gateway ticks", ticked).await;
    }
}

fn definition() -> Value {
    let ten_seconds_later = jiff::Timestamp::from_millisecond(START + 10_000).unwrap().to_string();
    let sale = with(small(), "/sale/opens_at", json!(ten_seconds_later));
    with(with(sale, "/sale/hold", json!("5s")), "/sale/grace", json!("2s"))
}

#[tokio::test]
async fn a_sale_opens_and_its_holds_end_by_redis_time_alone() {
    let redis = Redis::start_with(&["--appendonly", "no"]);
    set_time(&redis, 0);
    let (one, two) = (Inside::start(&redis).await, Inside::start(&redis).await);
    one.open(&definition()).await;
    for gateway in [&one, &two] {
        eventually("upcoming", || async { (gateway.phase().await == "upcoming").then_some(()) }).await;
        let early = gateway.tap("ada", "k").await;
        assert_eq!((early.status, early.problem()), (409, "sale-not-open"), "{}", early.text);
    }
    let mut time = 10_000;
    set_time(&redis, time);
    // The ledger decides, so that no gateway opens early or late. Memory may be a second old.
    let won =
        eventually("open", || async { Some(two.tap("ada", "k").await).filter(|r| r.status == 201) }).await;
    let id = won.id();

    // An hour's step of TIME: nobody's hold has expired.
    let before = one.sale_clock(&redis).await;
    set_time(&redis, time + 3_600_000);
    eventually("the step was noticed", || async { (one.sale_clock(&redis).await > before).then_some(()) })
        .await;
    assert_eq!(one.sale_clock(&redis).await, before + 2_000);
    assert_eq!(one.state(&id).await, "held");
    set_time(&redis, time);
    let ticked_back = || async {
        let tick: String = redis.run("HGET lg:{small}:state tick");
        (tick == (START + time).to_string()).then_some(())
    };
    eventually("the step back was noticed", ticked_back).await;

    let deadline = before + 5_000;
    run_until(&one, &redis, &mut time, deadline).await;
    let store = json!({"store": "gz-2"});
    let late = one.call(Method::PATCH, token("ada"), &id, "", &store).await;
    assert_eq!((late.status, late.problem()), (409, "reservation-not-held"), "{}", late.text);
    assert_eq!(late.json["state"], "held");
    let moved = two.call(Method::PATCH, service_token(), &id, "", &store).await;
    assert_eq!((moved.status, &moved.json["store"]), (200, &json!("gz-2")), "{}", moved.text);

    run_until(&two, &redis, &mut time, deadline + 2_000).await;
    let body = json!({"payment": "pay", "version": 2});
    let refund = two.call(Method::POST, service_token(), &id, "/confirm", &body).await;
    assert_eq!((refund.status, refund.problem()), (409, "reservation-not-held"), "{}", refund.text);
    assert_eq!(refund.json["state"], "expired");
    let swept = || async {
        let audit = one.ops(Method::GET, "/admin/v1/sales/small/audit", &Value::Null).await.json;
        (audit["reservations"]["expired"] == 1).then_some(audit)
    };
    let audit = eventually("the stock is back", swept).await;
    assert_eq!((&audit["verdict"], &audit["items"][1]["free"]), (&json!("balanced"), &json!(60)), "{audit}");
    let replay = one.tap("ada", "k").await;
    assert_eq!((replay.status, &replay.json["state"]), (200, &json!("expired")), "{}", replay.text);
}
