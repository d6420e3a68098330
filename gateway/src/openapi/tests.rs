//! Unit tests of `openapi.rs`.

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

#[test]
fn every_call_has_an_id_of_its_own() {
    let all = parsed();
    let mut ids = Vec::new();
    for item in all["paths"].as_object().unwrap().values() {
        ids.extend(item.as_object().unwrap().values().filter_map(|op| op["operationId"].as_str()));
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    assert_eq!(count, public_calls().len() + ops_calls().len());
}
