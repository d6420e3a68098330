//! Drift is noticed: by the follower with the next tick, and by the audit.

use crate::harness::eventually;
use crate::harness::gateway::Gateway;
use crate::harness::redis::Redis;
use crate::harness::sale::{open, small, white};

async fn metric(gateway: &Gateway, line: &str) -> Option<()> {
    let metrics = gateway.ops_get("/metrics").await.text;
    metrics.lines().any(|l| l == line).then_some(())
}

#[tokio::test]
async fn a_counter_that_was_tampered_with_is_noticed_and_forgotten_once_mended() {
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
    eventually("it is mended", || metric(&gateway, good)).await;
    assert_eq!(gateway.audit().await["verdict"], "balanced");
}
