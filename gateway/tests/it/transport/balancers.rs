//! Tests what else passes the published balancers: definitions, the live page, addresses of clients.

use serde_json::{Value, json};
use testkit::balancer::{Backend, Balancer};
use testkit::definition::{small, with};
use testkit::gateway::{Gateway, OPS_TOKEN, send};
use testkit::redis::Redis;
use testkit::{PATIENCE, eventually};

/// A gateway that is alone behind a balancer.
async fn alone(
    redis: &Redis,
    options: &[&str],
    balancer: fn([Backend; 2]) -> Balancer,
) -> (Gateway, Balancer) {
    let gateway = Gateway::start_with(redis, options).await;
    let backend = Backend { public: gateway.address(), ops: gateway.ops_address() };
    (gateway, balancer([backend; 2]))
}

#[tokio::test]
async fn a_large_definition_passes_a_balancer() {
    let store = |n| json!({"id": format!("gz-{n}"), "name": "A store with a long name", "city": "Guangzhou"});
    let definition = with(small(), "/stores", (1..20_000).map(store).collect());
    // More than nginx takes by default.
    assert!(definition.to_string().len() > 1 << 20);
    for balancer in [Balancer::nginx, Balancer::haproxy] {
        let redis = Redis::start();
        let (_gateway, balancer) = alone(&redis, &[], balancer).await;
        let url = format!("{}/admin/v1/sales/small", balancer.ops_url);
        let reply = eventually("it is applied, or refused", || async {
            let call = balancer.client().put(&url).bearer_auth(OPS_TOKEN).json(&definition);
            let reply = send(call).await;
            // 503: it is applied, and not served yet.
            (reply.status != 503).then_some(reply)
        })
        .await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
}

#[tokio::test]
async fn the_live_page_s_lines_come_one_by_one_through_a_balancer() {
    for balancer in [Balancer::nginx, Balancer::haproxy] {
        let redis = Redis::start();
        let (_gateway, balancer) = alone(&redis, &[], balancer).await;
        let request =
            balancer.client().get(format!("{}/admin/v1/live", balancer.ops_url)).bearer_auth(OPS_TOKEN);
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store, no-transform");
        // It never ends, and is far from filling nginx's buffers.
        let mut text = String::new();
        while text.matches(r#""kind":"now""#).count() < 3 {
            let chunk = tokio::time::timeout(PATIENCE, answer.chunk()).await;
            text.push_str(std::str::from_utf8(&chunk.expect("a line").unwrap().unwrap()).unwrap());
        }
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["kind"], "hello");
    }
}

#[tokio::test]
async fn a_client_cannot_choose_its_address_behind_a_balancer() {
    for balancer in [Balancer::nginx, Balancer::haproxy] {
        let redis = Redis::start();
        // Three calls of each address, then one in 100 s.
        let limit = ["--limit-address", "1:300", "--cost-status", "100"];
        let options = [&["--trusted-proxies", "127.0.0.1"][..], &limit].concat();
        let (_gateway, balancer) = alone(&redis, &options, balancer).await;
        let (client, url) = (balancer.client(), format!("{}/v1/sales", balancer.url));
        let mut refused = 0;
        for n in 0..20 {
            let other = format!("203.0.113.{n}");
            let call = client
                .get(&url)
                .header("x-forwarded-for", &other)
                .header("forwarded", format!("for={other}"));
            let reply = send(call).await;
            assert!([200, 429].contains(&reply.status), "{}", reply.text);
            refused += u32::from(reply.status == 429);
        }
        assert!(refused > 0, "every call had an address of its own");
    }
}
