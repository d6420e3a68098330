//! Tests that a mark of an unusable sale ends with its cause, and affects only that sale.

use std::collections::BTreeMap;

use serde_json::json;
use testkit::cli::run;
use testkit::definition::{known, open, small, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use crate::recovery::failover::alarm;

#[tokio::test]
async fn an_unlisted_id_is_not_a_sale_and_raises_no_alarm() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    // One that is damaged, and one of which nothing is there.
    redis.run::<()>("SET lg:{broken}:state nonsense");
    redis.run::<i64>("SADD lg:sales broken absent");
    for id in ["broken", "absent"] {
        alarm(&redis, &format!("The sale {id} ")).await;
        let page = gateway.get(&format!("/v1/sales/{id}")).await;
        assert_eq!((page.status, page.problem()), (503, "temporary-reduced-capacity"), "{}", page.text);
    }
    redis.run::<i64>("SREM lg:sales broken absent");
    for id in ["broken", "absent"] {
        eventually("the sale is gone", || async {
            (gateway.get(&format!("/v1/sales/{id}")).await.problem() == "sale-not-found").then_some(())
        })
        .await;
    }
    eventually("the alarm is over", || async {
        let fleet: BTreeMap<String, String> = redis.run("HGETALL lg:fleet");
        fleet.values().all(|report| !report.contains("sale-unread")).then_some(())
    })
    .await;
    // The complete sale may return.
    redis.run::<i64>("DEL lg:{broken}:state");
    open(&gateway, &with(small(), "/sale/id", json!("broken"))).await;
}

#[tokio::test]
async fn one_damaged_sale_does_not_hide_the_others() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    for id in ["alpha", "omega", "small"] {
        open(&gateway, &with(small(), "/sale/id", json!(id))).await;
    }
    redis.run::<()>("RENAME lg:{alpha}:definition lg:{alpha}:aside");
    redis.run::<()>("SET lg:{alpha}:definition {}");
    redis.run::<i64>("SADD lg:sales zero");
    let ids = |list: &serde_json::Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|sale| sale["sale"].as_str().unwrap().to_owned()).collect()
    };
    let list = gateway.ops_get("/admin/v1/sales").await;
    assert_eq!(list.status, 200, "{}", list.text);
    assert_eq!(ids(&list.json["sales"]), ["omega", "small"]);
    assert_eq!(ids(&list.json["unreadable"]), ["alpha", "zero"]);
    let problem = list.json["unreadable"][0]["problem"].as_str().unwrap();
    assert!(problem.contains("lg:{alpha}:definition"), "{problem}");
    let listed = run(&["sale", "list", "--redis", &redis.url()]);
    assert_eq!(listed.code, 0, "{listed:?}");
    for word in ["omega\topen", "small\topen", "alpha\thalted\t-\t", "zero\thalted"] {
        assert!(listed.out.contains(word), "{word}: {listed:?}");
    }
    // Mended it is as before.
    redis.run::<()>("RENAME lg:{alpha}:aside lg:{alpha}:definition");
    let list = gateway.ops_get("/admin/v1/sales").await;
    assert_eq!(ids(&list.json["sales"]), ["alpha", "omega", "small"]);
    known(&gateway, "alpha").await;
}
