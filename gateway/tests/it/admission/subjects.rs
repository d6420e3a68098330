//! Tests subjects of real identity providers: spaces, up to 255 characters, and lookalikes of other
//! keys.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::balanced;
use testkit::cli::run;
use testkit::definition::{known, open, small, white};
use testkit::eventually;
use testkit::gateway::{Gateway, SECRET, send, service_token};
use testkit::redis::Redis;

use crate::contract::admin::SALE;
use crate::faults::callers::{brief, far, stock};
use crate::launch::spike::{journal, reserve_until_answered};
use crate::recovery::failover::{RedisWithLoss, wait_until_recovered};

/// Subjects, each with no second meaning.
fn subjects() -> Vec<String> {
    let longest = format!("CN=Zhang San,{} O=Car", "x".repeat(255 - 19));
    let named = ["CN=Zhang San, OU=R  D, O=Car", "Zhang%20San", "Zhang San", "-", "a,b", "%", "auth0|42"];
    assert_eq!(longest.len(), 255);
    named.into_iter().map(str::to_owned).chain([longest]).collect()
}

/// In a path, every byte escaped.
fn escaped(sub: &str) -> String {
    sub.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The support lookup of a buyer: the name, and the kinds of the changes.
async fn seen(gateway: &Gateway, sub: &str) -> (Value, Vec<Value>) {
    let seen = gateway.ops_get(&format!("{SALE}/buyers/{}", escaped(sub))).await;
    assert_eq!(seen.status, 200, "{}", seen.text);
    let lines = seen.json["journal"].as_array().unwrap();
    assert!(lines.iter().all(|line| line["buyer"] == sub), "{}", seen.text);
    (seen.json["buyer"].clone(), lines.iter().map(|line| line["kind"].clone()).collect())
}

#[tokio::test]
async fn a_buyer_of_any_name_buys_and_is_found_by_it_here_and_after_an_export() {
    let (redis, second) = (Redis::start(), Redis::start());
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let mut ids = Vec::new();
    for sub in subjects() {
        let won = gateway.reserve(&sub, "k", &white()).await;
        assert_eq!(won.status, 201, "{sub:?}: {}", won.text);
        let again = gateway.reserve(&sub, "k", &white()).await;
        assert_eq!((again.status, again.id()), (200, won.id()), "{sub:?}: {}", again.text);
        let moved = gateway.amend(&sub, &won.id(), &json!({"store": "sh-1"})).await;
        assert_eq!(moved.status, 200, "{sub:?}: {}", moved.text);
        assert_eq!(gateway.confirm(&won.id(), "pay", 2).await.status, 200);
        assert_eq!(
            seen(&gateway, &sub).await,
            (json!(sub), vec![json!("reserve"), json!("amend"), json!("confirm")])
        );
        let list = gateway.get_as(&sub, "/v1/sales/small/reservations").await;
        assert_eq!(list.json["reservations"].as_array().unwrap().len(), 1, "{}", list.text);
        ids.push(won.id());
    }
    balanced(&gateway).await;
    let buyers: Vec<String> = journal(&gateway)
        .await
        .iter()
        .filter(|line| line["kind"] == "reserve")
        .map(|line| line["buyer"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(buyers, subjects());
    // In the ledger a name is one word, and readable.
    let records: Vec<String> = redis.run("HVALS lg:{small}:records");
    assert!(records.iter().any(|record| record.starts_with("CN=Zhang␣San,␣OU=R␣␣D,␣O=Car ")), "{records:?}");

    let file = redis.files().join("small.jsonl");
    let file = file.to_str().unwrap();
    assert_eq!(run(&["sale", "export", "small", file, "--redis", &redis.url()]).code, 0);
    let import = run(&["sale", "import", file, "--redis", &second.url()]);
    assert_eq!(import.code, 0, "{import:?}");
    let other = Gateway::start(&second).await;
    known(&other, "small").await;
    for (sub, id) in subjects().iter().zip(&ids) {
        let again = other.reserve(sub, "k", &white()).await;
        assert_eq!((again.status, &again.id()), (200, id), "{sub:?}: {}", again.text);
        assert_eq!(seen(&other, sub).await.1.len(), 3);
        let path = format!("/v1/sales/small/reservations/{id}/cancel");
        let refund = send(other.request(Method::POST, &path).bearer_auth(service_token())).await;
        assert_eq!(refund.status, 200, "{sub:?}: {}", refund.text);
    }
    balanced(&other).await;
}

#[tokio::test]
async fn holds_of_buyers_of_any_name_are_swept() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &brief()).await;
    for sub in subjects() {
        assert_eq!(gateway.reserve(&sub, "k", &white()).await.status, 201, "{sub:?}");
    }
    eventually("all holds have expired", || async {
        let audit = gateway.audit().await;
        (audit["reservations"]["expired"] == subjects().len()).then_some(())
    })
    .await;
    for sub in subjects() {
        assert_eq!(seen(&gateway, &sub).await, (json!(sub), vec![json!("reserve"), json!("expire")]));
    }
    balanced(&gateway).await;
}

#[tokio::test]
async fn acknowledged_changes_of_buyers_of_any_name_return_after_a_failover() {
    let mut redis = RedisWithLoss(Redis::start());
    let gateway = Gateway::start(&redis.0).await;
    open(&gateway, &stock(20)).await;
    redis.save_files();
    let mut first = Vec::new();
    for sub in subjects() {
        first.push(reserve_until_answered(&gateway, &sub, "k", &far()).await.id());
    }
    redis.restart_from_saved();
    assert_eq!(wait_until_recovered(&gateway).await["lost"], 0);
    for (sub, id) in subjects().iter().zip(&first) {
        let again = reserve_until_answered(&gateway, sub, "k", &far()).await;
        assert_eq!((again.status, &again.id()), (200, id), "{sub:?}: {}", again.text);
        assert_eq!(seen(&gateway, sub).await, (json!(sub), vec![json!("reserve")]));
    }
    crate::launch::spike::balanced(&gateway).await;
}

#[test]
fn a_token_is_minted_for_any_name_that_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    let mint = |sub: &str| run(&["token", "--sub", sub, "--auth-secret-file", secret.to_str().unwrap()]);
    for sub in subjects() {
        assert_eq!(mint(&sub).code, 0, "{sub:?}");
    }
    for bad in ["Zhang San ", &"x".repeat(256), "张三"] {
        let refused = mint(bad);
        assert!(refused.code == 2 && refused.err.contains("1 to 255 visible ASCII"), "{refused:?}");
    }
}
