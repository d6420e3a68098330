//! Provides definitions of sales: as JSON, which tests change, and as files for `sale apply`.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::run;
use crate::gateway::{Client, Reply};
use crate::{Failed, eventually};

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

/// Applies a definition over the admin API, once.
pub async fn apply(gateway: &Client, definition: &Value) -> Reply {
    let id = definition["sale"]["id"].as_str().unwrap();
    gateway.ops(Method::PUT, &format!("/admin/v1/sales/{id}"), definition).await
}

/// Applies a valid definition, and waits until this gateway serves that revision.
pub async fn open(gateway: &Client, definition: &Value) {
    eventually("the definition is applied", || async {
        let reply = apply(gateway, definition).await;
        assert!(matches!(reply.status, 200 | 503), "{}", reply.text);
        (reply.status == 200).then_some(())
    })
    .await;
    let id = definition["sale"]["id"].as_str().unwrap();
    known(gateway, id).await;
}

/// Waits until a gateway serves a sale.
pub async fn known(gateway: &Client, id: &str) {
    let path = format!("/v1/sales/{id}");
    eventually("the sale is known", || async { (gateway.get(&path).await.status == 200).then_some(()) })
        .await;
}

/// A white car, nothing with it, at the first store.
pub fn white() -> Value {
    json!({"model": "white", "store": "gz-1"})
}

/// Writes a definition as `NAME.toml` with its stores beside it, as operators keep it; the TOML file's path.
pub fn write(definition: &Value, folder: &Path, name: &str) -> Result<PathBuf, Failed> {
    let mut definition = definition.clone();
    let columns = ["id", "name", "city", "capacity", "province", "address", "lat", "lng"];
    let mut rows = columns.join(",") + "\n";
    for store in definition["stores"].as_array().into_iter().flatten() {
        let field = |column: &&str| match &store[*column] {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            number => number.to_string(),
        };
        rows += &(columns.iter().map(field).collect::<Vec<_>>().join(",") + "\n");
    }
    let stores = format!("{name}-stores.csv");
    definition["stores"] = json!({"file": stores});
    let text = toml::to_string(&definition).map_err(Failed::to("write a definition"))?;
    let path = folder.join(format!("{name}.toml"));
    std::fs::write(folder.join(stores), rows).map_err(Failed::to("write a definition"))?;
    std::fs::write(&path, text).map_err(Failed::to("write a definition"))?;
    Ok(path)
}

/// Applies a definition as an operator does it: by `gateway sale apply`, with no gateway running.
pub fn apply_file(file: &Path, redis: &str) -> Result<(), Failed> {
    let done = run(&["sale", "apply", &file.to_string_lossy(), "--redis", redis]);
    if done.code == 0 {
        Ok(())
    } else {
        Err(Failed::Outside(format!("the sale can't be defined: {}", done.err)))
    }
}
