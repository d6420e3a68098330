//! Checks refusals, balance after them, and whether the read model is up to date.

use serde_json::Value;

use crate::eventually;
use crate::gateway::{Client, Reply};

/// Asserts that an answer is this refusal: RFC 9457 with exactly these members besides the four that all have.
pub fn refused<'a>(reply: &'a Reply, status: u16, name: &str, members: &[&str]) -> &'a Value {
    let shown = format!("{} {}", reply.status, reply.text);
    assert_eq!((reply.status, reply.problem()), (status, name), "{shown}");
    assert_eq!(reply.header("content-type"), "application/problem+json", "{shown}");
    assert_eq!(reply.header("cache-control"), "no-store", "{shown}");
    let object = reply.json.as_object().unwrap();
    assert_eq!(object["status"], status, "{shown}");
    for text in ["title", "detail"] {
        assert!(object[text].as_str().is_some_and(|t| !t.is_empty()), "{shown}");
    }
    let mut found: Vec<&str> = object
        .keys()
        .map(String::as_str)
        .filter(|key| !["type", "title", "status", "detail"].contains(key))
        .collect();
    let mut wanted = members.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted, "{shown}");
    let waits = members.contains(&"retry_after_ms");
    assert_eq!(
        reply.headers.contains_key("retry-after"),
        waits,
        "Retry-After and retry_after_ms go together: {shown}"
    );
    if waits {
        let ms = reply.json["retry_after_ms"].as_u64().unwrap();
        assert_eq!(reply.header("retry-after"), ms.div_ceil(1000).to_string(), "{shown}");
    }
    &reply.json
}

/// The sequence of the ledger of `small`, which must be balanced.
pub async fn balanced(gateway: &Client) -> u64 {
    let audit = gateway.audit().await;
    assert_eq!(audit["verdict"], "balanced", "{audit}");
    assert_eq!(audit["problems"], serde_json::json!([]), "{audit}");
    audit["sequence"].as_u64().unwrap()
}

/// Waits until this gateway's read model of `small` has the ledger's present sequence.
pub async fn settled(gateway: &Client) {
    let sequence = balanced(gateway).await;
    eventually("the read model is up to date", || async {
        let known = gateway.metrics().await.find("ledger_sequence{sale=\"small\"}");
        (known? >= sequence as f64).then_some(())
    })
    .await;
}

/// What is free of an item of `small`, by the audit.
pub async fn free(gateway: &Client, item: &str) -> Option<i64> {
    let audit = gateway.audit().await;
    let items = audit["items"].as_array().unwrap();
    let found = items.iter().find(|i| i["item"] == item).unwrap();
    assert_eq!(found["drift"], 0, "{audit}");
    found["free"].as_i64()
}
