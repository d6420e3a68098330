//! Compares the calls with those of the last release: no client of theirs may break.

use serde_json::{Value, json};

use super::{Api, Spec, parsed};
use crate::openapi::changes::breaking_changes;

const RELEASED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/released.json");
const BREAKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi/breaks.txt");
const LINE_CHARS_MAX: usize = 120;

/// The members that are for people; they may change at any time.
const TEXTS: &[&str] = &["description", "summary", "title", "example", "examples", "tags", "servers"];

/// The part of a document that clients depend on.
fn contract(document: &Value) -> Value {
    let part = |pointer: &str| document.pointer(pointer).map_or(Value::Null, |part| without_texts(part, ""));
    json!({"paths": part("/paths"), "components": {"schemas": part("/components/schemas")}})
}

fn without_texts(value: &Value, name: &str) -> Value {
    match value {
        Value::Object(members) if name == "properties" => {
            members.iter().map(|(name, schema)| (name.clone(), without_texts(schema, ""))).collect()
        }
        // A client reads a header by its name.
        Value::Object(members) if name == "headers" => {
            members.keys().map(|name| (name.clone(), json!({}))).collect()
        }
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| !TEXTS.contains(&name.as_str()));
            members.map(|(name, member)| (name.clone(), without_texts(member, name))).collect()
        }
        Value::Array(list) => list.iter().map(|item| without_texts(item, "")).collect(),
        _ => value.clone(),
    }
}

/// JSON with a line for each value that fits into one.
fn layout(value: &Value, indent: usize) -> String {
    let line = value.to_string();
    if indent + line.chars().count() < LINE_CHARS_MAX {
        return line;
    }
    let blanks = " ".repeat(indent);
    let block = |open: char, parts: Vec<String>, close: char| {
        format!("{open}\n{blanks} {}\n{blanks}{close}", parts.join(&format!(",\n{blanks} ")))
    };
    match value {
        Value::Object(members) => {
            let member = |(name, member): (&String, &Value)| {
                format!("{}: {}", json!(name), layout(member, indent + 1))
            };
            block('{', members.iter().map(member).collect(), '}')
        }
        Value::Array(list) => block('[', list.iter().map(|item| layout(item, indent + 1)).collect(), ']'),
        _ => line,
    }
}

/// `RELEASE_API=1` takes over the present calls.
#[test]
fn no_client_of_the_last_release_breaks() {
    let document = parsed();
    if std::env::var_os("RELEASE_API").is_some() {
        std::fs::write(RELEASED, layout(&contract(&document), 0) + "\n").unwrap();
    }
    let released: Value = serde_json::from_str(&std::fs::read_to_string(RELEASED).unwrap()).unwrap();
    assert!(released["paths"].is_object(), "{RELEASED} has no calls");
    let found = breaking_changes(&released, &document);
    let allowed = std::fs::read_to_string(BREAKS).unwrap();
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
    // A client has one base address: each call stays at its listener.
    for (api, prefix) in [(Api::Apps, "/v1/"), (Api::Ops, "/admin/")] {
        let of_listener: Value = serde_json::from_str(&crate::openapi::document(Spec::V31, api)).unwrap();
        for path in released["paths"].as_object().unwrap().keys().filter(|path| path.starts_with(prefix)) {
            assert!(of_listener["paths"][path].is_object(), "{path} has moved to the other listener");
        }
    }
    for (line, reason) in &allowed {
        assert!(
            found.iter().any(|change| change == line),
            "breaks.txt lists what is no break (any more): {line}"
        );
        assert!(!reason.trim().is_empty(), "breaks.txt gives no reason for: {line}");
    }
}

#[test]
fn nothing_that_clients_depend_on_is_left_out() {
    let document = parsed();
    let kept = contract(&document);
    assert_eq!(breaking_changes(&kept, &document), [""; 0]);
    assert_eq!(breaking_changes(&document, &kept), [""; 0]);
    assert_eq!(serde_json::from_str::<Value>(&layout(&kept, 0)).unwrap(), kept);
    // Texts are gone, and members of answers with such names are not.
    let problem = &kept["components"]["schemas"]["ProblemSoldOut"];
    assert!(problem["properties"]["title"].is_object() && problem.get("description").is_none(), "{problem}");
    assert!(kept["paths"]["/v1/time"]["get"].get("summary").is_none());
}
