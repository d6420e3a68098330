//! Builds the OpenAPI document of each listener: schemas from the types, refusals from the list of problems.

mod call;
mod calls;
#[cfg(test)]
mod changes;
mod examples;
mod parameters;
mod problems;
mod schemas;
mod spec30;

use call::Call;
use calls::{OPS_TAGS, PUBLIC_TAGS, ops_calls, public_calls};
use clap::ValueEnum;
use schemas::definition_schema;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The calls that a document has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Api {
    /// Those of the public listener
    Apps,
    /// Those of the ops listener
    Ops,
    /// Those of both listeners
    All,
}

/// The version of OpenAPI of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Spec {
    /// With JSON Schema of 2020-12: says everything
    #[value(name = "3.1")]
    V31,
    /// For older tools
    #[value(name = "3.0")]
    V30,
}

/// A document, its members in the order in which people read them.
#[derive(Serialize)]
struct Document {
    openapi: &'static str,
    info: Value,
    servers: Value,
    tags: Value,
    paths: Value,
    components: Map<String, Value>,
}

/// The document of these calls as JSON.
pub fn document(spec: Spec, api: Api) -> String {
    let mut text = serde_json::to_string_pretty(&build(spec, api)).unwrap_or_default();
    text.push('\n');
    text
}

/// What `GET /openapi.json` answers: the document of the public listener, without line breaks.
pub fn served() -> String {
    serde_json::to_string(&build(Spec::V31, Api::Apps)).unwrap_or_default()
}

fn build(spec: Spec, api: Api) -> Document {
    let (has_apps, has_ops) = (api != Api::Ops, api != Api::Apps);
    let mut paths = Map::new();
    let mut schemas: Map<String, Value> = problems::problem_schemas().collect();
    schemas.extend(parameters::parameter_schemas());
    schemas.insert("Definition".into(), json!(definition_schema()));
    schemas.insert("OpenApi".into(), json!({"type": "object", "description": "An OpenAPI document."}));
    let mut add = |call: Call, servers: Option<Value>| {
        let item = paths.entry(call.path).or_insert_with(|| json!({}));
        item[call.method.as_str().to_lowercase()] = call.operation();
        if let Some(servers) = servers {
            item["servers"] = servers;
        }
        schemas.extend(call.schemas.into_iter().map(|(name, schema)| (name, json!(schema))));
    };
    let (mut tags, mut servers) = (Vec::new(), json!([ops_server()]));
    if has_apps {
        servers = json!([{"url": "/", "description": "The public listener that serves this document."}]);
        tags.extend(PUBLIC_TAGS);
        public_calls().into_iter().for_each(|call| add(call, None));
    }
    if has_ops {
        tags.extend(OPS_TAGS);
        let servers = has_apps.then(|| json!([ops_server()]));
        ops_calls().into_iter().for_each(|call| add(call, servers.clone()));
    }
    name_choices(&mut schemas);
    schemas.values_mut().for_each(complete);
    let tag = |(name, about): (&str, &str)| json!({"name": name, "description": about});
    let mut components = json!({
        "schemas": schemas,
        "examples": problems::problem_examples().collect::<Map<_, _>>(),
        "headers": {
            "X-Request-Id": call::header("string", "The id of this request in the log.", "01JCAVN3W5Y8"),
        },
        "securitySchemes": security_schemes(),
    });
    let mut paths = Value::Object(paths);
    if spec == Spec::V30 {
        let before = components.clone();
        spec30::convert(&mut paths, &before);
        spec30::convert(&mut components, &before);
    }
    Document {
        openapi: if spec == Spec::V31 { "3.1.0" } else { "3.0.3" },
        info: info(api),
        servers,
        tags: tags.into_iter().map(tag).collect(),
        components: reachable(&paths, components),
        paths,
    }
}

/// Gives the choices of tagged lines a name, such as `LiveLineHello`: generators skip what has none.
fn name_choices(schemas: &mut Map<String, Value>) {
    let mut named = Map::new();
    for (name, schema) in schemas.iter_mut() {
        let choices = schema.get_mut("oneOf").and_then(Value::as_array_mut);
        for choice in choices.into_iter().flatten() {
            if let Some(kind) = choice.pointer("/allOf/1/properties/kind/enum/0").and_then(Value::as_str) {
                let name = format!("{name}{}", problems::capital(kind));
                let reference = json!({"$ref": format!("#/components/schemas/{name}")});
                named.insert(name, std::mem::replace(choice, reference));
            }
        }
    }
    schemas.extend(named);
}

/// Says in a schema what generators otherwise miss: an object without listed members has any, and the description of a
/// member that may be null is that of the member, not of one of its choices.
fn complete(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let is_object = |of: &Value| {
                of == "object" || of.as_array().is_some_and(|all| all.contains(&json!("object")))
            };
            let is_described =
                ["properties", "additionalProperties"].iter().any(|name| members.contains_key(*name));
            if members.get("type").is_some_and(is_object) && !is_described {
                members.insert("additionalProperties".to_owned(), true.into());
            }
            let choices = members.get_mut("oneOf").and_then(Value::as_array_mut);
            let choices = choices.filter(|choices| choices.iter().any(|choice| choice["type"] == "null"));
            let description = |choice: &mut Value| choice.as_object_mut()?.remove("description");
            let found = choices.and_then(|choices| choices.iter_mut().find_map(description));
            if let Some(description) = found {
                members.entry("description").or_insert(description);
            }
            let schemas = members.iter_mut().filter(|(name, _)| !name.starts_with("example"));
            schemas.for_each(|(_, member)| complete(member));
        }
        Value::Array(list) => list.iter_mut().for_each(complete),
        _ => {}
    }
}

/// The components that the paths name, or that those name in turn.
fn reachable(paths: &Value, mut components: Value) -> Map<String, Value> {
    let mut found = Map::new();
    let mut open: Vec<(String, String)> = Vec::new();
    references(paths, &mut open);
    while let Some((kind, name)) = open.pop() {
        let component = components[&kind][&name].take();
        if !component.is_null() {
            references(&component, &mut open);
            found.entry(kind).or_insert_with(|| json!({}))[name] = component;
        }
    }
    found
}

/// Adds the kinds and names of the components that a value names.
fn references(value: &Value, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("$ref", Value::String(reference)) => {
                        let component =
                            reference.strip_prefix("#/components/").and_then(|c| c.split_once('/'));
                        found.extend(component.map(|(kind, name)| (kind.to_owned(), name.to_owned())));
                    }
                    ("security", Value::Array(schemes)) => {
                        let names = schemes.iter().filter_map(Value::as_object).flat_map(Map::keys);
                        found.extend(names.map(|name| ("securitySchemes".to_owned(), name.clone())));
                    }
                    _ => references(member, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

fn ops_server() -> Value {
    json!({
        "url": "http://{address}",
        "description": "The ops listener of one gateway.",
        "variables": {"address": {"default": "127.0.0.1:9090", "description": "Its `--ops-listen`."}},
    })
}

fn security_schemes() -> Value {
    let bearer = |about: &str| json!({"type": "http", "scheme": "bearer", "description": about});
    json!({
        "token": bearer("A JWT; `sub` is the buyer, the scope `service` marks a service."),
        "ops-token": bearer("A token of the ops token file. Its role is `operate` (everything), `watch` (GET of the live page, sales, audits, the fleet, limits) or `feed` (the journal only)."),
    })
}

fn info(api: Api) -> Value {
    let listeners = match api {
        Api::Apps => "Reservations of a launch: the calls of the public listener (`--listen`).",
        Api::Ops => "Reservations of a launch: the calls of the ops listener (`--ops-listen`).",
        Api::All => {
            "Reservations of a launch: the calls of the public listener (`--listen`) and, under `/admin/v1/` and for health, of the ops listener (`--ops-listen`)."
        }
    };
    let about = "A retry with the same Idempotency-Key is always safe. `HEAD` works wherever `GET` does.\n\nA refusal is `application/problem+json`; its `type` says which. A client that meets an unknown one goes by the status.\n\nWhere a refusal has `Retry-After`, its `retry_after_ms` is the same wait in milliseconds, with jitter; neither is longer than an hour. Query parameters that are not listed here are ignored on cacheable reads (sales, cities, stores), and refused on every other call.\n\nEach response has an `X-Request-Id`, which every log line of the request contains; a trusted proxy may set it in the request (1 to 64 of `A-Za-z0-9-_.`). The trace of a `traceparent` (W3C Trace Context) appears in the log and in the `traceresponse`, which adds the id of the gateway's span.";
    json!({
        "title": "Launchgate",
        "version": env!("CARGO_PKG_VERSION"),
        "description": format!("{listeners} {about}"),
        "contact": {"name": "Launchgate"},
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
    })
}

#[cfg(test)]
mod tests;
