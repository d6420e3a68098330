//! Unit tests of `spec30.rs`.

use super::*;

fn converted(schema: Value) -> Value {
    let components = json!({"schemas": {"Sale": {"type": "object"}}});
    let mut document = json!({"content": {"schema": schema, "example": {"const": 1}}});
    convert(&mut document, &components);
    assert_eq!(document["content"]["example"], json!({"const": 1}), "an example stays as it is");
    document["content"]["schema"].take()
}

#[test]
fn each_form_of_a_schema_becomes_one_of_3_0() {
    let sale = json!({"$ref": "#/components/schemas/Sale"});
    for (from, to) in [
        (json!({"type": ["string", "null"]}), json!({"type": "string", "nullable": true})),
        (
            json!({"type": ["string", "null"], "enum": ["a"]}),
            json!({"type": "string", "nullable": true, "enum": ["a", null]}),
        ),
        (json!({"const": "/problems/sold-out"}), json!({"enum": ["/problems/sold-out"]})),
        (json!({"examples": [17, 18]}), json!({"example": 17})),
        (json!({"exclusiveMinimum": 0}), json!({"minimum": 0, "exclusiveMinimum": true})),
        (json!({"exclusiveMaximum": 9}), json!({"maximum": 9, "exclusiveMaximum": true})),
        (json!({"contentMediaType": "text/plain", "type": "string"}), json!({"type": "string"})),
        (sale.clone(), sale.clone()),
        (
            json!({"$ref": "#/components/schemas/Sale", "description": "One."}),
            json!({"allOf": [sale], "description": "One."}),
        ),
        (
            json!({"oneOf": [{"type": "null"}, sale]}),
            json!({"allOf": [sale], "type": "object", "nullable": true}),
        ),
        (json!({"additionalProperties": false}), json!({"additionalProperties": false})),
    ] {
        assert_eq!(converted(from.clone()), to, "{from}");
        // At every depth.
        for (deep_from, deep_to) in [
            (json!({"items": from}), json!({"items": to})),
            (json!({"properties": {"const": from}}), json!({"properties": {"const": to}})),
            (json!({"anyOf": [from]}), json!({"anyOf": [to]})),
            (json!({"additionalProperties": from}), json!({"additionalProperties": to})),
        ] {
            assert_eq!(converted(deep_from.clone()), deep_to, "{deep_from}");
        }
    }
}
