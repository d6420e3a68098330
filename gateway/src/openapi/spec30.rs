//! OpenAPI 3.0 from 3.1: for tools that read no JSON Schema of 2020-12.

use serde_json::{Map, Value, json};

/// What a schema of 3.0 can't say. Without it a schema accepts more, never less.
const UNKNOWN: &[&str] = &["contentMediaType", "contentSchema", "propertyNames"];

/// Converts every schema in these paths or components.
pub(super) fn convert(value: &mut Value, components: &Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), &mut *member) {
                    // Values of the API, not schemas.
                    ("example" | "examples", _) => {}
                    ("schema", schema) => convert_schema(schema, components),
                    ("schemas", Value::Object(schemas)) => {
                        schemas.values_mut().for_each(|schema| convert_schema(schema, components));
                    }
                    _ => convert(member, components),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| convert(value, components)),
        _ => {}
    }
}

fn convert_schema(schema: &mut Value, components: &Value) {
    let Value::Object(members) = schema else { return };
    members.retain(|name, _| !UNKNOWN.contains(&name.as_str()));
    if let Some(value) = members.remove("const") {
        members.insert("enum".into(), json!([value]));
    }
    if let Some(Value::Array(examples)) = members.remove("examples") {
        members.extend(examples.into_iter().next().map(|example| ("example".to_owned(), example)));
    }
    for (bound, inclusive) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        if let Some(value) = members.remove(bound) {
            members.insert(inclusive.into(), value);
            members.insert(bound.into(), true.into());
        }
    }
    // A reference stands alone in 3.0.
    if members.len() > 1
        && let Some(reference) = members.remove("$ref")
    {
        members.insert("allOf".into(), json!([{"$ref": reference}]));
    }
    make_nullable(members, components);
    for name in ["items", "additionalProperties", "not"] {
        members.entry(name).and_modify(|schema| convert_schema(schema, components));
    }
    for name in ["oneOf", "anyOf", "allOf"] {
        let list = members.get_mut(name).and_then(Value::as_array_mut);
        list.into_iter().flatten().for_each(|schema| convert_schema(schema, components));
    }
    let properties = members.get_mut("properties").and_then(Value::as_object_mut);
    properties.into_iter().flat_map(Map::values_mut).for_each(|schema| convert_schema(schema, components));
}

/// Replaces the type `null` by `nullable`, which 3.0 allows only beside one type.
fn make_nullable(members: &mut Map<String, Value>, components: &Value) {
    let null = json!("null");
    if let Some(Value::Array(types)) = members.get_mut("type") {
        let count = types.len();
        types.retain(|of| *of != null);
        let (is_nullable, one) = (types.len() < count, types.first().cloned());
        members.extend(one.map(|one| ("type".to_owned(), one)));
        if is_nullable {
            members.insert("nullable".into(), true.into());
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.push(Value::Null);
            }
        }
    }
    let Some(Value::Array(choices)) = members.get_mut("oneOf") else { return };
    let count = choices.len();
    choices.retain(|choice| choice["type"] != null);
    if choices.len() < count {
        let of = choices.first().and_then(|choice| type_of(choice, components));
        members.extend(of.map(|of| ("type".to_owned(), of)));
        members.insert("nullable".into(), true.into());
        // One is left in all of our schemas; `allOf` keeps what is said beside it.
        if let Some(Value::Array(choices)) = members.remove("oneOf") {
            members.insert("allOf".into(), choices.into());
        }
    }
}

/// The type of a schema, or of the component that it names.
fn type_of(schema: &Value, components: &Value) -> Option<Value> {
    let named = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components"));
    let schema = named.map_or(Some(schema), |pointer| components.pointer(pointer))?;
    schema.get("type").cloned()
}

#[cfg(test)]
mod tests;
