//! Tests the doctor's estimate of a sale's RAM against the real use.

use gateway::doctor::{MemoryNeed, RESERVATION_BYTES};
use gateway::domain::definition::Definition;
use serde_json::json;
use testkit::definition::{open, small, with};
use testkit::gateway::Gateway;
use testkit::redis::Redis;

#[tokio::test]
async fn a_reservation_takes_no_more_than_is_reckoned_with_and_not_much_less() {
    const BUYERS: u64 = 1_000;
    let redis = Redis::start_with(&["--appendfsync", "everysec"]);
    let gateway = Gateway::start(&redis).await;
    let definition = with(small(), "/model/0/stock", json!(BUYERS));
    let definition =
        with(with(definition, "/package/0/stock", json!(BUYERS)), "/stores/0/capacity", json!(BUYERS));
    let definition = with(definition, "/sale/attempts", json!(1));
    open(&gateway, &definition).await;
    let used = || redis.info("used_memory").parse::<u64>().unwrap();
    let before = used();
    // One after the other, each an entry of its own, paid and given back: the dearest way there is.
    for n in 0..BUYERS {
        let buyer = format!("a-buyer-with-a-name-of-{n:08}");
        let request = json!({"model": "white", "packages": ["cover", "care"], "store": "gz-1"});
        let won = gateway.reserve(&buyer, &format!("key-of-a-usual-length-{n:08}"), &request).await;
        assert_eq!(won.status, 201, "{}", won.text);
        assert_eq!(gateway.confirm(&won.id(), "a-reference-of-the-provider", 1).await.status, 200);
    }
    let taken = used() - before;
    let need = MemoryNeed::of(&Definition::from_json(definition.to_string().as_bytes()).unwrap(), 0);
    assert_eq!(need.reservations, BUYERS + 40);
    println!("{} bytes each, reckoned with {RESERVATION_BYTES}", taken / BUYERS);
    assert!(taken < need.bytes, "{} bytes each, reckoned with {RESERVATION_BYTES}", taken / BUYERS);
    assert!(taken > need.bytes / 3, "{} bytes each, reckoned with {RESERVATION_BYTES}", taken / BUYERS);
}
