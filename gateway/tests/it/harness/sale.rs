//! The sale of the tests: its definition as JSON, to be changed by each test.

use super::eventually;
use super::gateway::{Gateway, Reply};
use reqwest::Method;
use serde_json::{Value, json};

/// `small`: 60 white and 40 black cars, covers for the white ones, as in `examples/small`.
pub fn small() -> Value {
    json!({
        "sale": {
            "id": "small", "name": "Small", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2100-01-01T00:00:00Z",
            "hold": "15m", "grace": "60s", "per_buyer": 1, "attempts": 5, "currency": "CNY", "deposit": 99900,
            "rehearsal": true,
        },
        "model": [
            {"id": "white", "name": "White", "price": 4_999_900, "stock": 60},
            {"id": "black", "name": "Black", "price": 5_099_900, "stock": 40},
        ],
        "package": [
            {"id": "cover", "name": "Cover", "price": 29_900, "stock": 20, "models": ["white"]},
            {"id": "care", "name": "Care", "price": 59_900},
        ],
        "stores": [
            {"id": "gz-1", "name": "One", "city": "Guangzhou", "capacity": 80},
            {"id": "gz-2", "name": "Two", "city": "Guangzhou", "capacity": 10},
            {"id": "sh-1", "name": "Three", "city": "Shanghai"},
        ],
    })
}

/// With another value at a JSON pointer.
pub fn with(mut definition: Value, pointer: &str, value: Value) -> Value {
    *definition.pointer_mut(pointer).unwrap() = value;
    definition
}

/// Applies a definition over the admin API.
pub async fn apply(gateway: &Gateway, definition: &Value) -> Reply {
    let id = definition["sale"]["id"].as_str().unwrap();
    gateway.ops(Method::PUT, &format!("/admin/v1/sales/{id}"), definition).await
}

/// Applies a definition that must be taken, and waits until this gateway knows the sale at that revision.
pub async fn open(gateway: &Gateway, definition: &Value) {
    let reply = apply(gateway, definition).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let id = definition["sale"]["id"].as_str().unwrap();
    known(gateway, id).await;
}

/// Waits until a gateway knows a sale.
pub async fn known(gateway: &Gateway, id: &str) {
    let path = format!("/v1/sales/{id}");
    eventually("the sale is known", || async { (gateway.get(&path).await.status == 200).then_some(()) })
        .await;
}

/// A white car, nothing with it, at the first store.
pub fn white() -> Value {
    json!({"model": "white", "store": "gz-1"})
}
