//! Refusals in the document: schemas, responses and examples, all from the list of problems.

use serde_json::{Map, Value, json};

use crate::domain::problem::{self, Member, ProblemKind};
use crate::openapi::call::{any_response, header};
use crate::ops::rate_limits::policy_schema;

/// A word with a capital letter.
pub(crate) fn capital(word: &str) -> String {
    word[..1].to_uppercase() + &word[1..]
}

/// The name of a problem's schema: `ProblemSoldOut`.
fn schema_name(kind: &ProblemKind) -> String {
    kind.name.split('-').fold("Problem".to_owned(), |name, word| name + &capital(word))
}

fn schema_reference(kind: &ProblemKind) -> Value {
    json!({"$ref": format!("#/components/schemas/{}", schema_name(kind))})
}

/// The schemas of all problems.
pub(crate) fn problem_schemas() -> impl Iterator<Item = (String, Value)> {
    problem::ALL.iter().map(|kind| (schema_name(kind), schema(kind)))
}

/// The examples of all problems, by name.
pub(crate) fn problem_examples() -> impl Iterator<Item = (String, Value)> {
    let of = |kind: &ProblemKind| json!({"summary": kind.title, "value": example(kind)});
    problem::ALL.iter().map(move |kind| (kind.name.to_owned(), of(kind)))
}

/// `type` alone identifies a problem; `title` is a text that may change.
fn schema(kind: &ProblemKind) -> Value {
    let mut properties = json!({
        "type": {"type": "string", "const": format!("/problems/{}", kind.name)},
        "title": {"type": "string", "description": "The problem, for a person. The text may change."},
        "status": {"type": "integer", "description": "As the response's status."},
        "detail": {"type": "string", "description": "This occurrence, for a person. The text may change."},
    });
    let mut required = vec!["type", "title", "status", "detail"];
    for (name, member) in kind.members {
        let field = name.trim_end_matches('?');
        properties[field] = member_schema(*member);
        if !name.ends_with('?') {
            required.push(field);
        }
    }
    json!({"type": "object", "description": kind.explanation, "properties": properties, "required": required})
}

fn member_schema(member: Member) -> Value {
    match member {
        Member::Text => json!({"type": "string"}),
        Member::State => json!({"$ref": "#/components/schemas/State"}),
        Member::Time => json!({"type": "string", "format": "date-time"}),
        Member::Word(words) => json!({"type": "string", "enum": words}),
        Member::Number => json!({"type": "integer", "format": "int64", "minimum": 0}),
        Member::Flag => json!({"type": "boolean"}),
        Member::Policies => json!({"type": "array", "items": policy_schema()}),
        Member::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Member::Objects => json!({"type": "array", "items": {"type": "object"}}),
    }
}

fn example(kind: &ProblemKind) -> Value {
    let (detail, _) =
        kind.explanation.split_once(". ").unwrap_or((kind.explanation.trim_end_matches('.'), ""));
    let mut example = json!({
        "type": format!("/problems/{}", kind.name),
        "title": kind.title,
        "status": kind.status,
        "detail": format!("{detail}."),
    });
    for (name, member) in kind.members {
        let field = name.trim_end_matches('?');
        example[field] = member_example(field, *member);
    }
    example
}

fn member_example(field: &str, member: Member) -> Value {
    match (field, member) {
        ("opens_at", _) => json!("2026-11-09T12:00:00.000Z"),
        ("closes_at", _) => json!("2026-11-09T23:00:00.000Z"),
        ("holder", _) => json!("host-1:4711:3f9a"),
        ("retry_after_ms", _) => json!(1240),
        ("reservations", _) => json!(["kq3vX9bN2mZ7aLr0Ty8wFhUcE5dPs1Jo"]),
        ("fields", _) => json!(["hold", "models[0].price"]),
        ("cursor", _) => json!("3-0/2~AAECAwQFBgcICQoLDA0ODw"),
        ("pointer", _) => json!("/model"),
        ("mistakes", _) => json!([{"pointer": "/sale/hold", "detail": "expected a duration such as 15m"}]),
        (_, Member::Text) => json!("01JCAVN3W5Y8"),
        (_, Member::State) => json!("expired"),
        (_, Member::Time) => json!("2026-11-09T11:59:58.760Z"),
        (_, Member::Word(words)) => json!(words.first()),
        (_, Member::Number) => json!(2),
        (_, Member::Flag) => json!(false),
        (_, Member::Policies) => json!(["buyer"]),
        (_, Member::Texts) => json!(["model:air-400-white"]),
        (_, Member::Objects) => json!([]),
    }
}

/// The response of a status that these problems have.
pub(crate) fn problem_response<'a>(kinds: impl Iterator<Item = &'a ProblemKind>) -> Value {
    let mut kinds: Vec<&ProblemKind> = kinds.collect();
    kinds.sort_by_key(|kind| kind.index);
    kinds.dedup();
    let names: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.name)).collect();
    let schema = match kinds[..] {
        [kind] => schema_reference(kind),
        _ => json!({"oneOf": kinds.iter().map(|kind| schema_reference(kind)).collect::<Vec<_>>()}),
    };
    let example = |kind: &&ProblemKind| {
        (kind.name.to_owned(), json!({"$ref": format!("#/components/examples/{}", kind.name)}))
    };
    let examples: Map<String, Value> = kinds.iter().map(example).collect();
    let mut response = any_response(&names.join(", "));
    response["content"] = json!({"application/problem+json": {"schema": schema, "examples": examples}});
    let headers = &mut response["headers"];
    match kinds[0].status {
        401 => headers["WWW-Authenticate"] = header("string", "RFC 6750.", "Bearer realm=\"launchgate\""),
        405 => headers["Allow"] = header("string", "The methods of this path.", "GET, HEAD"),
        429 => {
            headers["RateLimit"] = header("string", "What is left of the limits.", "\"buyer\";r=0;t=2");
            headers["RateLimit-Policy"] = header("string", "The limits.", "\"buyer\";q=10;w=5");
        }
        _ => {}
    }
    if kinds.iter().any(|kind| kind.members.iter().any(|(name, _)| *name == "retry_after_ms")) {
        headers["Retry-After"] = header("integer", "Seconds, where `retry_after_ms` is there.", 2);
    }
    response
}
