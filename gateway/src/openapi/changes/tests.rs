//! Unit tests of `changes.rs`: every rule finds a planted break, and only breaks.

use super::*;

/// A call with a bit of everything.
fn document() -> Value {
    let item = json!({
        "type": "object",
        "required": ["id", "kind"],
        "properties": {
            "id": {"type": "string"},
            "kind": {"enum": ["car", "cover"]},
            "at": {"type": ["string", "null"], "format": "date-time"},
            "count": {"type": "integer", "minimum": 0},
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
        },
    });
    let order = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["model"],
        "properties": {
            "model": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 64, "minLength": 1},
            "colour": {"enum": ["white", "black"]},
            "count": {"type": "number", "minimum": 1, "maximum": 16},
            "gift": {"type": ["boolean", "null"]},
            "packages": {"type": "array", "items": {"type": "string"}, "maxItems": 16},
        },
    });
    let problem = |name: &str| json!({"properties": {"type": {"const": format!("/problems/{name}")}}});
    let refusal =
        json!({"oneOf": [{"$ref": "#/components/schemas/SoldOut"}, {"$ref": "#/components/schemas/Paused"}]});
    json!({
        "paths": {
            "/orders": {
                "servers": [],
                "post": {
                    "operationId": "order",
                    "security": [{"token": []}],
                    "parameters": [
                        {"name": "Key", "in": "header", "required": true, "schema": {"type": "string"}},
                        {"name": "dry", "in": "query", "required": false, "schema": {"type": "boolean"}},
                    ],
                    "requestBody": {
                        "required": false,
                        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}},
                    },
                    "responses": {
                        "200": {
                            "headers": {"ETag": {}},
                            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Item"}}},
                        },
                        "409": {"content": {"application/problem+json": {"schema": refusal}}},
                        "410": {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/SoldOut"}}}},
                    },
                },
            },
            "/time": {"get": {"operationId": "time", "security": [], "responses": {"200": {}}}},
        },
        "components": {"schemas": {
            "Item": item,
            "Order": order,
            "SoldOut": problem("sold-out"),
            "Paused": problem("paused"),
        }},
    })
}

const ORDER: &str = "/paths/~1orders/post";
const REQUEST: &str = "/components/schemas/Order";
const RESPONSE: &str = "/components/schemas/Item";

/// The breaking changes after a value was set, or with null removed.
fn after(at: &str, value: &Value) -> Vec<String> {
    let mut new = document();
    let (parent, name) = at.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    match new.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => assert!(members.remove(&name).is_some(), "{at}"),
        Value::Array(list) if value.is_null() => drop(list.remove(name.parse().unwrap())),
        Value::Array(list) if name == "-" => list.push(value.clone()),
        parent => {
            assert_ne!(parent.get(&name), Some(value), "{at}");
            parent[name] = value.clone();
        }
    }
    breaking_changes(&document(), &new)
}

#[test]
fn every_planted_break_is_found() {
    let order = "POST /orders";
    for (base, at, value, found) in [
        ("/paths", "/~1time", Value::Null, "GET /time: the call is gone"),
        (ORDER, "", Value::Null, "POST /orders: the call is gone"),
        (ORDER, "/operationId", json!("buy"), "POST /orders: its operationId was \"order\""),
        ("/paths/~1time/get", "/security", json!([{"token": []}]), "GET /time: it needs another token"),
        (ORDER, "/parameters/1", Value::Null, "POST /orders parameter dry: it is gone"),
        (ORDER, "/parameters/1/required", json!(true), "POST /orders parameter dry: it is required now"),
        (
            ORDER,
            "/parameters/1/schema/type",
            json!("string"),
            "POST /orders parameter dry: type boolean is gone",
        ),
        (
            ORDER,
            "/parameters/-",
            json!({"name": "tag", "in": "query", "required": true}),
            "POST /orders parameter tag: it is new and required",
        ),
        (ORDER, "/requestBody/required", json!(true), "POST /orders request: it is required now"),
        (ORDER, "/requestBody", Value::Null, "POST /orders request: application/json is gone"),
        (
            REQUEST,
            "/properties/model/pattern",
            json!("^[a-f]+$"),
            "POST /orders request .model: its pattern was \"^[a-z]+$\"",
        ),
        (
            REQUEST,
            "/properties/model/maxLength",
            json!(8),
            "POST /orders request .model: its maxLength was 64",
        ),
        (
            REQUEST,
            "/properties/model/minLength",
            json!(2),
            "POST /orders request .model: its minLength was 1",
        ),
        (
            REQUEST,
            "/properties/model/format",
            json!("uuid"),
            "POST /orders request .model: its format was null",
        ),
        (
            REQUEST,
            "/properties/model/enum",
            json!(["a"]),
            "POST /orders request .model: every value was allowed",
        ),
        (
            REQUEST,
            "/properties/colour/enum",
            json!(["white"]),
            "POST /orders request .colour: value \"black\" is gone",
        ),
        (REQUEST, "/properties/count/minimum", json!(2), "POST /orders request .count: its minimum was 1"),
        (REQUEST, "/properties/count/maximum", json!(8), "POST /orders request .count: its maximum was 16"),
        (
            REQUEST,
            "/properties/count/type",
            json!("integer"),
            "POST /orders request .count: type number is gone",
        ),
        (REQUEST, "/properties/gift/type", json!("boolean"), "POST /orders request .gift: type null is gone"),
        (
            REQUEST,
            "/properties/packages/maxItems",
            json!(4),
            "POST /orders request .packages: its maxItems was 16",
        ),
        (
            REQUEST,
            "/properties/packages/uniqueItems",
            json!(true),
            "POST /orders request .packages: uniqueItems is true now",
        ),
        (
            REQUEST,
            "/properties/packages/items/minLength",
            json!(1),
            "POST /orders request .packages []: its minLength was null",
        ),
        (REQUEST, "/properties/gift", Value::Null, "POST /orders request .gift: it is gone"),
        (REQUEST, "/required", json!(["model", "gift"]), "POST /orders request .gift: it is required now"),
        (ORDER, "/responses/200", Value::Null, "POST /orders: status 200 is gone"),
        (ORDER, "/responses/410", Value::Null, "POST /orders: status 410 is gone"),
        (ORDER, "/responses/202", json!({}), "POST /orders: status 202 is new"),
        (ORDER, "/responses/200/headers/ETag", Value::Null, "POST /orders 200: header ETag is gone"),
        (
            ORDER,
            "/responses/200/content",
            json!({"text/plain": {}}),
            "POST /orders 200: application/json is gone",
        ),
        (RESPONSE, "/properties/count", Value::Null, "POST /orders 200 .count: it is gone"),
        (RESPONSE, "/required", json!(["id"]), "POST /orders 200 .kind: it may be left out now"),
        (
            RESPONSE,
            "/properties/kind/enum",
            json!(["car", "cover", "wash"]),
            "POST /orders 200 .kind: value \"wash\" is new",
        ),
        (
            RESPONSE,
            "/properties/kind/enum",
            Value::Null,
            "POST /orders 200 .kind: every value is possible now",
        ),
        (
            RESPONSE,
            "/properties/at/format",
            Value::Null,
            "POST /orders 200 .at: its format was \"date-time\"",
        ),
        (RESPONSE, "/properties/count/type", json!("number"), "POST /orders 200 .count: type number is new"),
        (
            RESPONSE,
            "/properties/count/type",
            json!(["integer", "null"]),
            "POST /orders 200 .count: type null is new",
        ),
        (
            RESPONSE,
            "/properties/count",
            json!({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}),
            "POST /orders 200 .count: string is new",
        ),
    ] {
        assert_eq!(after(&format!("{base}{at}"), &value), [found], "{base}{at} {value}");
        assert!(found.starts_with(order) || found.starts_with("GET /time"));
    }
}

#[test]
fn a_compatible_change_is_none() {
    assert_eq!(breaking_changes(&document(), &document()), [""; 0]);
    let problem = json!({"properties": {"type": {"const": "/problems/closed"}}});
    for (base, at, value) in [
        ("/paths", "/~1stores", json!({"get": {}})),
        (ORDER, "/security", json!([])),
        (ORDER, "/summary", json!("Order a car")),
        (ORDER, "/parameters/0/required", json!(false)),
        (ORDER, "/parameters/-", json!({"name": "tag", "in": "query", "required": false})),
        (ORDER, "/responses/429", json!({})),
        (ORDER, "/responses/409/content/application~1problem+json/schema/oneOf/-", problem),
        (ORDER, "/responses/409/content/application~1problem+json/schema/oneOf/1", Value::Null),
        (REQUEST, "/properties/note", json!({"type": "string"})),
        (REQUEST, "/required", json!([])),
        (REQUEST, "/additionalProperties", Value::Null),
        (REQUEST, "/properties/model/pattern", Value::Null),
        (REQUEST, "/properties/model/maxLength", json!(128)),
        (REQUEST, "/properties/model/minLength", Value::Null),
        (REQUEST, "/properties/colour/enum", json!(["white", "black", "red"])),
        (REQUEST, "/properties/colour/enum", Value::Null),
        (REQUEST, "/properties/model/type", json!(["string", "null"])),
        (RESPONSE, "/properties/weight", json!({"type": "number"})),
        (RESPONSE, "/required", json!(["id", "kind", "count"])),
        (RESPONSE, "/properties/kind/enum", json!(["car"])),
        (RESPONSE, "/properties/at/type", json!("string")),
        (RESPONSE, "/properties/count/minimum", json!(1)),
    ] {
        assert_eq!(after(&format!("{base}{at}"), &value), [""; 0], "{base}{at} {value}");
    }
}

#[test]
fn references_and_parts_are_followed() {
    let mut parts = document();
    let item = parts["components"]["schemas"]["Item"].take();
    let mut half = item.clone();
    let at = half["properties"]["at"].take();
    half["properties"].as_object_mut().unwrap().remove("at");
    let other = json!({"type": "object", "properties": {"at": at}});
    parts["components"]["schemas"]["Item"] = json!({"allOf": [half, other]});
    assert_eq!(breaking_changes(&document(), &parts), [""; 0]);
    assert_eq!(breaking_changes(&parts, &document()), [""; 0]);
    parts["components"]["schemas"]["Item"] = json!({"allOf": [half]});
    assert_eq!(breaking_changes(&document(), &parts), ["POST /orders 200 .at: it is gone"]);
}
