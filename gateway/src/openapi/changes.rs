//! Finds the changes between two documents that break clients: of requests what is narrower, of responses what is wider or gone.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// The two directions of a schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    ByClients,
    ByGateway,
}

/// All breaking changes, a line each.
pub(super) fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut changes = Changes { old, new, open: Vec::new(), found: Vec::new() };
    for (path, item) in members(&old["paths"]) {
        for (method, operation) in members(item).filter(|(method, _)| *method != "servers") {
            let place = format!("{} {path}", method.to_uppercase());
            match new["paths"][path].get(method) {
                None => changes.breaks(&place, "the call is gone"),
                Some(now) => changes.operation(&place, operation, now),
            }
        }
    }
    changes.found
}

struct Changes<'a> {
    old: &'a Value,
    new: &'a Value,
    /// The references that are being compared: schemas may contain themselves.
    open: Vec<(String, String)>,
    found: Vec<String>,
}

impl Changes<'_> {
    fn breaks(&mut self, place: &str, what: &str) {
        self.found.push(format!("{place}: {what}"));
    }

    fn operation(&mut self, place: &str, old: &Value, new: &Value) {
        if old["operationId"] != new["operationId"] {
            self.breaks(place, &format!("its operationId was {}", old["operationId"]));
        }
        if old["security"] != new["security"] && new["security"] != json!([]) {
            self.breaks(place, "it needs another token");
        }
        self.parameters(place, old, new);
        self.request_body(place, &old["requestBody"], &new["requestBody"]);
        for (status, response) in members(&old["responses"]) {
            match new["responses"].get(status) {
                None => self.breaks(place, &format!("status {status} is gone")),
                Some(now) => self.response(&format!("{place} {status}"), response, now),
            }
        }
        // A client goes by the status of a refusal that it does not know; of a success it expects what is listed.
        for (status, _) in members(&new["responses"]) {
            if status.starts_with('2') && old["responses"].get(status).is_none() {
                self.breaks(place, &format!("status {status} is new"));
            }
        }
    }

    fn parameters(&mut self, place: &str, old: &Value, new: &Value) {
        let find = |operation: &Value, wanted: &Value| {
            let is_it = |found: &&Value| found["name"] == wanted["name"] && found["in"] == wanted["in"];
            list(&operation["parameters"]).iter().find(is_it).cloned()
        };
        for before in list(&old["parameters"]) {
            let place = format!("{place} parameter {}", text(&before["name"]));
            let Some(now) = find(new, before) else {
                self.breaks(&place, "it is gone");
                continue;
            };
            if now["required"] == true && before["required"] != true {
                self.breaks(&place, "it is required now");
            }
            self.schema(&place, Sent::ByClients, &before["schema"], &now["schema"]);
        }
        for now in list(&new["parameters"]) {
            if now["required"] == true && find(old, now).is_none() {
                self.breaks(&format!("{place} parameter {}", text(&now["name"])), "it is new and required");
            }
        }
    }

    fn request_body(&mut self, place: &str, old: &Value, new: &Value) {
        let place = &format!("{place} request");
        if new["required"] == true && old["required"] != true {
            self.breaks(place, "it is required now");
        }
        self.content(place, Sent::ByClients, old, new);
    }

    fn response(&mut self, place: &str, old: &Value, new: &Value) {
        for (name, _) in members(&old["headers"]) {
            if new["headers"].get(name).is_none() {
                self.breaks(place, &format!("header {name} is gone"));
            }
        }
        self.content(place, Sent::ByGateway, old, new);
    }

    fn content(&mut self, place: &str, sent: Sent, old: &Value, new: &Value) {
        for (media_type, content) in members(&old["content"]) {
            match new["content"].get(media_type) {
                None => self.breaks(place, &format!("{media_type} is gone")),
                Some(now) => self.schema(place, sent, &content["schema"], &now["schema"]),
            }
        }
    }

    fn schema(&mut self, place: &str, sent: Sent, old: &Value, new: &Value) {
        let references = (text(&old["$ref"]).to_owned(), text(&new["$ref"]).to_owned());
        let is_named = !references.0.is_empty() && !references.1.is_empty();
        if is_named {
            if self.open.contains(&references) {
                return;
            }
            self.open.push(references);
        }
        let (before, now) = (flat(self.old, old), flat(self.new, new));
        if before.contains_key("oneOf") || now.contains_key("oneOf") {
            self.choices(place, sent, old, new);
        } else {
            self.one_schema(place, sent, &before, &now);
        }
        if is_named {
            self.open.pop();
        }
    }

    fn one_schema(&mut self, place: &str, sent: Sent, old: &Map<String, Value>, new: &Map<String, Value>) {
        let none = Value::Null;
        let of = |schema: &Map<String, Value>, name: &str| schema.get(name).unwrap_or(&none).clone();
        let changed = |name: &str| old.get(name) != new.get(name);
        if changed("format") {
            self.breaks(place, &format!("its format was {}", of(old, "format")));
        }
        self.values(place, sent, "type", &types(old), &types(new));
        self.values(place, sent, "value", &allowed(old), &allowed(new));
        if sent == Sent::ByClients {
            if changed("pattern") && new.contains_key("pattern") {
                self.breaks(place, &format!("its pattern was {}", of(old, "pattern")));
            }
            for (bound, is_least) in BOUNDS {
                let [before, now] = [old, new].map(|schema| of(schema, bound).as_f64());
                let is_narrower = match (before, now) {
                    (_, None) => false,
                    (None, Some(_)) => true,
                    (Some(before), Some(now)) if *is_least => now > before,
                    (Some(before), Some(now)) => now < before,
                };
                if is_narrower {
                    self.breaks(place, &format!("its {bound} was {}", of(old, bound)));
                }
            }
            for (name, narrow) in [("uniqueItems", true), ("additionalProperties", false)] {
                if changed(name) && of(new, name) == narrow {
                    self.breaks(place, &format!("{name} is {narrow} now"));
                }
            }
        }
        for name in ["items", "additionalProperties"] {
            if let (Some(before @ Value::Object(_)), Some(now @ Value::Object(_))) =
                (old.get(name), new.get(name))
            {
                self.schema(&format!("{place} []"), sent, before, now);
            }
        }
        self.properties(place, sent, old, new);
    }

    fn properties(&mut self, place: &str, sent: Sent, old: &Map<String, Value>, new: &Map<String, Value>) {
        let none = Value::Null;
        let of = |schema: &Map<String, Value>, list: &str| schema.get(list).unwrap_or(&none).clone();
        let needs = |schema, name: &str| list(&of(schema, "required")).iter().any(|needed| needed == name);
        let [before, now] = [old, new].map(|schema| of(schema, "properties"));
        for (name, property) in members(&before) {
            let place = format!("{place} .{name}");
            match now.get(name) {
                None => self.breaks(&place, "it is gone"),
                Some(now) => {
                    match sent {
                        Sent::ByClients if needs(new, name) && !needs(old, name) => {
                            self.breaks(&place, "it is required now");
                        }
                        Sent::ByGateway if needs(old, name) && !needs(new, name) => {
                            self.breaks(&place, "it may be left out now");
                        }
                        _ => {}
                    }
                    self.schema(&place, sent, property, now);
                }
            }
        }
        if sent == Sent::ByClients {
            for (name, _) in members(&now).filter(|(name, _)| before.get(*name).is_none()) {
                if needs(new, name) {
                    self.breaks(&format!("{place} .{name}"), "it is new and required");
                }
            }
        }
    }

    /// Compares sets of types or values; none: all are allowed. Clients may not send what is gone, and do not know what is new.
    fn values(
        &mut self,
        place: &str,
        sent: Sent,
        what: &str,
        old: &Option<BTreeSet<String>>,
        new: &Option<BTreeSet<String>>,
    ) {
        let (narrow, wide, how) = match sent {
            Sent::ByClients => (new, old, "gone"),
            Sent::ByGateway => (old, new, "new"),
        };
        match (narrow, wide) {
            (Some(narrow), Some(wide)) => {
                for value in wide.difference(narrow) {
                    self.breaks(place, &format!("{what} {value} is {how}"));
                }
            }
            (Some(_), None) if sent == Sent::ByClients => {
                self.breaks(place, &format!("every {what} was allowed"));
            }
            (Some(_), None) => self.breaks(place, &format!("every {what} is possible now")),
            (None, _) => {}
        }
    }

    /// Compares the choices of two schemas of which one or both have several.
    fn choices(&mut self, place: &str, sent: Sent, old: &Value, new: &Value) {
        let (before, now) = (choices(self.old, old), choices(self.new, new));
        for (key, schema) in &before {
            match now.iter().find(|(other, _)| other == key) {
                Some((_, now)) => self.schema(&format!("{place} ({key})"), sent, schema, now),
                None if sent == Sent::ByClients => self.breaks(place, &format!("{key} is gone")),
                None => {}
            }
        }
        for (key, _) in &now {
            // A refusal of a new kind is no break: a client goes by its status.
            let is_new = before.iter().all(|(other, _)| other != key) && !key.starts_with("/problems/");
            if sent == Sent::ByGateway && is_new {
                self.breaks(place, &format!("{key} is new"));
            }
        }
    }
}

/// Bounds, and whether they are lower ones.
const BOUNDS: &[(&str, bool)] = &[
    ("minimum", true),
    ("minLength", true),
    ("minItems", true),
    ("maximum", false),
    ("maxLength", false),
    ("maxItems", false),
];

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

/// A schema without its references, all parts of `allOf` together.
fn flat(document: &Value, schema: &Value) -> Map<String, Value> {
    let mut flat_schema = Map::new();
    for (name, value) in members(resolved(document, schema)).filter(|(name, _)| *name != "allOf") {
        flat_schema.insert(name.clone(), value.clone());
    }
    for part in list(&resolved(document, schema)["allOf"]) {
        for (name, value) in flat(document, part) {
            match (flat_schema.get_mut(&name), value) {
                (Some(Value::Object(all)), Value::Object(more)) => all.extend(more),
                (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
                (Some(_), _) => {}
                (None, value) => {
                    flat_schema.insert(name, value);
                }
            }
        }
    }
    flat_schema
}

/// The choices of a schema, each with a name that stays: the `type` of a problem, a schema's name, or the type.
fn choices(document: &Value, schema: &Value) -> Vec<(String, Value)> {
    let all = flat(document, schema).remove("oneOf").unwrap_or_else(|| json!([schema]));
    let key = |choice: &Value| {
        let of = resolved(document, choice);
        let names = [&of["properties"]["type"]["const"], &choice["$ref"], &of["type"]];
        names.into_iter().find_map(|name| name.as_str()).unwrap_or("a choice without a name").to_owned()
    };
    list(&all).iter().map(|choice| (key(choice), choice.clone())).collect()
}

/// The types that a schema allows; `None`: every type.
fn types(schema: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let mut types = match schema.get("type")? {
        Value::Array(types) => types.iter().map(|of| text(of).to_owned()).collect::<BTreeSet<_>>(),
        of => BTreeSet::from([text(of).to_owned()]),
    };
    if types.contains("number") {
        types.insert("integer".to_owned());
    }
    Some(types)
}

/// The values that a schema lists; `None`: it lists none.
fn allowed(schema: &Map<String, Value>) -> Option<BTreeSet<String>> {
    let constant = schema.get("const").map(|value| json!([value]));
    let values = constant.or_else(|| schema.get("enum").cloned())?;
    Some(list(&values).iter().map(Value::to_string).collect())
}

#[cfg(test)]
mod tests;
