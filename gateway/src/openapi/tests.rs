//! Unit tests of `openapi.rs`.

mod released;

use serde_json::Value;

use super::*;
use crate::domain::problem;

fn parsed() -> Value {
    serde_json::from_str(&document(Spec::V31, Api::All)).unwrap()
}

#[test]
fn every_reference_resolves() {
    fn check(value: &Value, all: &Value) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(all.pointer(pointer).is_some(), "{reference}");
                }
                map.values().for_each(|v| check(v, all));
            }
            Value::Array(list) => list.iter().for_each(|v| check(v, all)),
            _ => {}
        }
    }
    let all = parsed();
    assert!(
        all["openapi"].as_str().unwrap().starts_with("3.1")
            || all["openapi"].as_str().unwrap().starts_with("3.2")
    );
    check(&all, &all);
}

#[test]
fn every_problem_is_answered_by_some_call() {
    let calls: Vec<Call> = public_calls().into_iter().chain(ops_calls()).collect();
    for kind in problem::ALL {
        assert!(calls.iter().any(|call| call.problems.contains(kind)), "{}", kind.name);
    }
}

#[test]
fn every_operator_action_describes_its_effect_on_buyers() {
    let all = parsed();
    for (word, effect) in crate::domain::operator_action::effects() {
        let call = match word {
            "limits" => &all["paths"]["/admin/v1/limits"]["patch"],
            _ => &all["paths"][format!("/admin/v1/sales/{{sale}}/{word}")]["post"],
        };
        assert_eq!(call["description"], effect, "{word}");
    }
}

/// The operations of both listeners.
fn operations() -> Vec<Value> {
    let all = parsed();
    let items =
        all["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    items.filter(|operation| operation.is_object()).cloned().collect()
}

#[test]
fn every_call_has_a_short_id_of_its_own() {
    let operations = operations();
    let mut ids: Vec<&str> = operations.iter().map(|call| call["operationId"].as_str().unwrap()).collect();
    for id in &ids {
        assert!(id.len() <= 20 && id.chars().all(|c| c.is_ascii_alphabetic()), "{id}");
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), operations.len());
    assert_eq!(ids.len(), public_calls().len() + ops_calls().len());
}

#[test]
fn every_body_has_an_example() {
    for call in operations() {
        let responses = call["responses"].as_object().unwrap().values();
        for body in responses.chain(call.get("requestBody")) {
            for content in body["content"].as_object().into_iter().flat_map(|content| content.values()) {
                let has_one = content.get("example").is_some() || content.get("examples").is_some();
                assert!(has_one, "{}: {content}", call["operationId"]);
            }
        }
    }
}

#[test]
fn the_examples_of_requests_are_read_as_requests() {
    fn read<'a, T: serde::Deserialize<'a>>(text: &'a str) {
        assert!(serde_json::from_str::<T>(text).is_ok(), "{text}");
    }
    read::<crate::api::bodies::ReserveRequest<'_>>(&examples::tap().to_string());
    read::<crate::api::bodies::AmendRequest<'_>>(&examples::amend().to_string());
    read::<crate::api::bodies::ConfirmRequest>(&examples::confirm().to_string());
    read::<crate::ops::view::RestockRequest>(&examples::restock_request().to_string());
    let definition =
        crate::domain::definition::Definition::from_json(examples::definition().to_string().as_bytes());
    assert!(definition.is_ok(), "{definition:?}");
}

/// Calls `check` on every schema of a member, with its name.
fn each_member(value: &Value, check: &impl Fn(&str, &Value)) {
    match value {
        Value::Object(members) => {
            let properties = members.get("properties").and_then(Value::as_object);
            properties.into_iter().flatten().for_each(|(name, schema)| check(name, schema));
            members.values().for_each(|value| each_member(value, check));
        }
        Value::Array(list) => list.iter().for_each(|value| each_member(value, check)),
        _ => {}
    }
}

#[test]
fn every_time_has_its_format_and_no_text_is_fixed() {
    each_member(&parsed(), &|name, schema| {
        let is_text = schema["type"] == "string" || schema["type"] == json!(["string", "null"]);
        let is_time = ["_at", "_time", "_until"].iter().any(|end| name.ends_with(end)) || name == "at";
        assert!(!is_text || is_time == (schema["format"] == "date-time"), "{name}: {schema}");
        // A client that knows one value fails on the next version's.
        let fixed =
            schema.get("const").is_some() || schema["enum"].as_array().is_some_and(|all| all.len() == 1);
        assert!(!fixed || ["type", "kind"].contains(&name), "{name}: {schema}");
    });
}

/// In TypeScript an object without members is one that has none, and a description beside a choice is lost.
#[test]
fn generated_types_show_free_members_and_every_description() {
    let all = parsed();
    let member = |schema: &str, name: &str| all["components"]["schemas"][schema]["properties"][name].clone();
    for schema in ["Sale", "Product"] {
        assert_eq!(member(schema, "meta")["additionalProperties"], true);
    }
    assert_eq!(member("Product", "models")["type"], "array", "never null: left out");
    let store = member("ReserveRequest", "store");
    assert!(store["description"].as_str().is_some_and(|about| about.contains("chosen later")), "{store}");
    assert_eq!(store["oneOf"], json!([{"$ref": "#/components/schemas/ItemId"}, {"type": "null"}]));
}
