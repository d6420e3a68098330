//! Tests the basics: one buyer, one car, the same answer twice, and a balanced ledger.

use testkit::definition::{open, small, white};
use testkit::gateway::Gateway;
use testkit::redis::Redis;

#[tokio::test]
async fn a_tap_is_decided_once() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;

    let won = gateway.reserve("alice", "k1", &white()).await;
    assert_eq!((won.status, won.json["number"].as_u64()), (201, Some(1)), "{}", won.text);
    assert_eq!(won.header("location"), format!("/v1/sales/small/reservations/{}", won.id()));
    let again = gateway.reserve("alice", "\"k1\"", &white()).await;
    assert_eq!((again.status, again.id()), (200, won.id()), "{}", again.text);
    assert_eq!(again.header("idempotency-replayed"), "true");

    let audit = gateway.audit().await;
    assert_eq!(audit["verdict"], "balanced", "{audit}");
    assert_eq!(audit["reservations"]["held"], 1);
}
