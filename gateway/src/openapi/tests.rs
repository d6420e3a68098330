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

/// Where the documents are that reviewers and clients see.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi");

/// The documents of the listeners, by name.
fn documents() -> [(&'static str, Value); 2] {
    let of = |api| serde_json::from_str(&document(Spec::V31, api)).unwrap();
    [("apps", of(Api::Apps)), ("ops", of(Api::Ops))]
}

fn committed(path: &str) -> Value {
    let text = std::fs::read_to_string(format!("{FOLDER}/{path}")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Writes the documents if this variable is set.
fn write_if(variable: &str, folder: &str) {
    if std::env::var_os(variable).is_some() {
        for (name, document) in documents() {
            let text = serde_json::to_string_pretty(&document).unwrap();
            std::fs::write(format!("{FOLDER}/{folder}{name}.json"), text + "\n").unwrap();
        }
    }
}

#[test]
fn the_committed_documents_are_current() {
    write_if("UPDATE_DOCS", "");
    for (name, document) in documents() {
        assert!(
            committed(&format!("{name}.json")) == document,
            "gateway/openapi/{name}.json is outdated: UPDATE_DOCS=1 cargo test -p gateway --lib openapi"
        );
    }
}

/// Against the documents of the last release: RELEASE_API=1 takes over the present ones.
#[test]
fn no_client_of_the_last_release_breaks() {
    write_if("RELEASE_API", "released/");
    let mut found = Vec::new();
    for (name, document) in documents() {
        let released = committed(&format!("released/{name}.json"));
        assert!(released["paths"].is_object(), "gateway/openapi/released/{name}.json is missing");
        let changes = changes::breaking_changes(&released, &document);
        found.extend(changes.into_iter().map(|change| format!("{name} {change}")));
    }
    let allowed = std::fs::read_to_string(format!("{FOLDER}/breaks.txt")).unwrap();
    let lines = allowed.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let allowed: Vec<(&str, &str)> = lines
        .map(|line| {
            line.split_once(" -- ").unwrap_or_else(|| panic!("breaks.txt: no ` -- reason` in: {line}"))
        })
        .collect();
    let is_allowed = |change: &String| allowed.iter().any(|(line, _)| line == change);
    let breaks: Vec<&String> = found.iter().filter(|change| !is_allowed(change)).collect();
    assert!(
        breaks.is_empty(),
        "these changes break clients; undo them, or list them with a reason in gateway/openapi/breaks.txt: {breaks:#?}"
    );
    for (line, reason) in &allowed {
        assert!(
            found.iter().any(|change| change == line),
            "breaks.txt lists what is no break (any more): {line}"
        );
        assert!(!reason.trim().is_empty(), "breaks.txt gives no reason for: {line}");
    }
}
