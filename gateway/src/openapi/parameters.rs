//! The parameters of calls.

use serde_json::{Value, json};

use crate::openapi::schemas::parameter_schema;

/// The header that makes a tap safe to repeat.
pub(crate) fn idempotency_key() -> Value {
    let about = "1 to 64 visible ASCII characters, bare or as an RFC 8941 string. One for each intended reservation, the same with every retry.";
    parameter("", "Idempotency-Key", "header", about)
}

pub(crate) fn path_parameter(path: &str, name: &str) -> Value {
    let about = match name {
        "sale" => "A sale's id.",
        "id" => "A reservation's id.",
        "store" => "A store's id.",
        "sub" => "The buyer: the `sub` of its tokens, percent-encoded.",
        _ => "The last part of a problem's `type`.",
    };
    parameter(path, name, "path", about)
}

pub(crate) fn query_parameter(path: &str, name: &str, about: &str) -> Value {
    parameter(path, name, "query", about)
}

/// Parameters whose schema has a name: generated clients then have one type for all calls.
const NAMED: &[(&str, &str)] =
    &[("sale", "SaleId"), ("id", "ReservationId"), ("Idempotency-Key", "IdempotencyKey")];

/// The schemas that parameters name.
pub(crate) fn parameter_schemas() -> impl Iterator<Item = (String, Value)> {
    NAMED.iter().map(|(name, schema)| ((*schema).to_owned(), json!(parameter_schema("", name).build())))
}

fn parameter(path: &str, name: &str, place: &str, about: &str) -> Value {
    let schema = match NAMED.iter().find(|(named, _)| *named == name) {
        Some((_, schema)) => json!({"$ref": format!("#/components/schemas/{schema}")}),
        None => json!(parameter_schema(path, name).build()),
    };
    let mut parameter = json!({
        "name": name,
        "in": place,
        "required": place != "query",
        "description": about,
        "schema": schema,
    });
    if let Some(example) = example(name) {
        parameter["example"] = example;
    }
    parameter
}

/// An example, where the schema does not show what is meant.
fn example(name: &str) -> Option<Value> {
    Some(match name {
        "sale" => json!("national-good-car"),
        "id" => json!("kq3vX9bN2mZ7aLr0Ty8wFhUcE5dPs1Jo"),
        "sub" => json!("alice"),
        "name" => json!("sold-out"),
        "Idempotency-Key" => json!("\"7f0c2a9e-1b8d-4e63-9a55-d2b1c6a8f043\""),
        "store" => json!("gz-0001"),
        "city" => json!("guangzhou"),
        "province" => json!("guangdong"),
        "q" => json!("tianhe"),
        "near" => json!("23.13,113.33"),
        "cursor" => json!("gz-0001"),
        "wait" => json!("25s"),
        "from" => json!("3-0/2~AAECAwQFBgcICQoLDA0ODw"),
        _ => return None,
    })
}
