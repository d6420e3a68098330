//! Tests that drift is detected, by the journal consumer at the next tick and by the audit.

use serde_json::json;
use testkit::cli::run;
use testkit::definition::{open, small, white, with};
use testkit::eventually;
use testkit::gateway::Gateway;
use testkit::redis::Redis;

use crate::launch::spike::wins;

async fn metric(gateway: &Gateway, line: &str) -> Option<()> {
    let metrics = gateway.ops_get("/metrics").await.text;
    metrics.lines().any(|l| l == line).then_some(())
}

#[tokio::test]
async fn a_changed_counter_raises_drift_until_it_is_fixed() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    assert_eq!(gateway.reserve("alice", "k1", &white()).await.status, 201);
    let good = r#"launchgate_ledger_counters_differ{sale="small"} 0"#;
    let bad = r#"launchgate_ledger_counters_differ{sale="small"} 1"#;
    eventually("the counters agree", || metric(&gateway, good)).await;

    let _: i64 = redis.run("HINCRBY lg:{small}:stock model:white 1");
    eventually("the difference is noticed", || metric(&gateway, bad)).await;
    let audit = gateway.audit().await;
    assert_eq!(audit["verdict"], "drift");
    let drifting: Vec<_> =
        audit["items"].as_array().unwrap().iter().filter(|item| item["drift"] != 0).collect();
    assert_eq!(drifting.len(), 1);
    assert_eq!((&drifting[0]["item"], &drifting[0]["drift"]), (&"model:white".into(), &1.into()));

    let _: i64 = redis.run("HINCRBY lg:{small}:stock model:white -1");
    eventually("the drift is gone", || metric(&gateway, good)).await;
    assert_eq!(gateway.audit().await["verdict"], "balanced");
}

#[tokio::test]
async fn what_is_oversold_is_named_by_the_audit_although_every_equation_balances() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &with(small(), "/model/0/stock", json!(1))).await;
    // Two are sold of one, after a wrong counter.
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white 1");
    for buyer in ["alice", "bob"] {
        wins(&gateway, buyer, "k", &white()).await;
    }
    redis.run::<i64>("HINCRBY lg:{small}:stock model:white -1");

    let audit = gateway.audit().await;
    let items = audit["items"].as_array().unwrap();
    assert!(items.iter().all(|item| item["drift"] == 0), "{audit}");
    let white = items.iter().find(|item| item["item"] == "model:white").unwrap();
    assert_eq!((&white["total"], &white["free"], &white["held"]), (&json!(1), &json!(-1), &json!(2)));
    assert_eq!(
        (&audit["verdict"], &audit["problems"]),
        (&json!("drift"), &json!(["model:white is oversold"]))
    );
    let audited = run(&["audit", "small", "--redis", &redis.url()]);
    assert_eq!(audited.code, 1, "{audited:?}");
    assert!(audited.out.contains("model:white is oversold: restock it"), "{audited:?}");
    // One more has come: it is balanced again.
    let restock = json!({"item": "model:white", "total": 2, "was": 1});
    assert_eq!(gateway.action("restock", &restock).await.status, 200);
    assert_eq!(gateway.audit().await["verdict"], "balanced");
}
