//! Unit tests of `meta.rs`.

use serde_json::json;

use crate::domain::definition::Definition;

/// A definition as JSON with this `meta` of its sale.
fn with(meta: &str) -> Result<Definition, Vec<String>> {
    let json = format!(
        r#"{{"sale": {{"id": "s", "name": "S", "opens_at": "2026-11-09T12:00:00Z", "closes_at": "2026-11-11T16:00:00Z",
        "hold": "15m", "currency": "CNY", "meta": {meta}}},
        "model": [{{"id": "m", "name": "M", "price": 5, "meta": {{}}}}]}}"#
    );
    Definition::from_json(json.as_bytes())
        .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
}

fn first_mistake(meta: &str) -> String {
    with(meta).unwrap_err().remove(0)
}

#[test]
fn any_object_passes_through() {
    let meta = json!({
        "": null, "image": "https://shop.example/air.webp", "nested": {"list": [1, -2.5, true, [], {}], "名": "\u{200b}\n"},
        "most": u64::MAX, "least": i64::MIN, "fraction": 1.0,
    });
    let definition = with(&meta.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&definition.sale.meta).unwrap(), meta);
    assert_eq!(serde_json::to_value(&definition.models[0].meta).unwrap(), json!({}));
    assert_eq!(Definition::from_ledger(definition.to_json().as_bytes()).as_ref(), Ok(&definition));
    // Neither the order of keys nor white space is a difference.
    assert_eq!(with(r#"{"b": 1, "a": 2}"#), with(r#"{"a":2,"b":1}"#));
    assert_eq!(with("null").unwrap().sale.meta, None);
}

#[test]
fn what_is_no_object_or_too_large_is_refused() {
    for other in ["[]", "1", "true", "\"text\""] {
        assert_eq!(first_mistake(other), "/sale/meta: `meta` must be a table; in JSON, an object");
    }
    // {"a":"…"} has 8 bytes besides the text; two bytes for each of these characters.
    assert!(with(&format!(r#"{{ "a" : "{}" }}"#, "é".repeat(2_044))).is_ok());
    assert_eq!(
        first_mistake(&format!(r#"{{"a":"{}x"}}"#, "é".repeat(2_044))),
        "/sale/meta: `meta` must have at most 4096 bytes as JSON, not 4097"
    );
    let deep = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let definition = with(&deep(32)).unwrap();
    assert!(Definition::from_ledger(definition.to_json().as_bytes()).is_ok());
    assert_eq!(
        first_mistake(&deep(33)),
        format!("/sale/meta{}: `meta` must have at most 32 levels", "/a".repeat(32))
    );
    assert_eq!(first_mistake(r#"{"x": [{"a/b": 1, "a/b": 2}]}"#), "/sale/meta/x/0/a~1b: `a/b` appears twice");
}

/// Apps read JSON numbers as floats of 64 bits: fractions are the nearest of these, and whole numbers stay as they are.
#[test]
fn no_number_changes_on_its_way() {
    for number in ["0.1", "-0.0", "1e30", "1.5e-300", "5e-324", "1.7976931348623157e308", "0e999", "-2.5E+3"]
    {
        let definition = with(&format!(r#"{{"\\\"1e400": [7, {number}]}}"#)).unwrap();
        let meta = serde_json::to_string(&definition.sale.meta).unwrap();
        let passed =
            meta.strip_prefix(r#"{"\\\"1e400":[7,"#).and_then(|rest| rest.strip_suffix("]}")).unwrap();
        let bits = |text: &str| text.parse::<f64>().unwrap().to_bits();
        assert_eq!(bits(passed), bits(number), "{number}: {passed}");
        assert_eq!(Definition::from_ledger(definition.to_json().as_bytes()).as_ref(), Ok(&definition));
    }
    assert_eq!(with(r#"{"a": -0}"#), with(r#"{"a": -0.0}"#));
    for number in ["18446744073709551616", "-9223372036854775809", &"9".repeat(64)] {
        assert_eq!(
            first_mistake(&format!(r#"{{"big": [1, -2, 0.5, {number}]}}"#)),
            format!(
                "/sale/meta/big/3: `meta` has a whole number of more than 64 bits, {number}: write it as a text"
            )
        );
    }
    assert_eq!(
        first_mistake(r#"{"small": 1e-400}"#),
        "/sale/meta/small: `meta` has a number beyond the range of a 64-bit float, 1e-400: write it as a text"
    );
    // serde_json does not read it: there is no path yet.
    assert!(first_mistake(r#"{"large": 1e400}"#).contains("number out of range at line "));
}

#[test]
fn toml_has_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sale.toml");
    let load = |sale: &str, model: &str| {
        let toml = format!(
            "[sale]\nid = \"s\"\nname = \"S\"\nopens_at = 2026-11-09T20:00:00+08:00\ncloses_at = 2026-11-12T00:00:00+08:00\n\
             hold = \"15m\"\ncurrency = \"CNY\"\n{sale}\n[[model]]\nid = \"m\"\nname = \"M\"\nprice = 5\n{model}\n"
        );
        std::fs::write(&path, toml).unwrap();
        Definition::load(&path).map_err(|mistakes| {
            mistakes
                .iter()
                .map(|m| m.to_string().replace(&format!("{}/", folder.path().display()), ""))
                .collect::<Vec<_>>()
        })
    };
    let definition =
        load("[sale.meta]\nreleased = 2026-11-09\na.b = [1.5, { c = 0x10 }]", "meta = { colour = \"#fff\" }")
            .unwrap();
    assert_eq!(
        serde_json::to_value(&definition.sale.meta).unwrap(),
        json!({"released": "2026-11-09", "a": {"b": [1.5, {"c": 16}]}})
    );
    assert_eq!(serde_json::to_value(&definition.models[0].meta).unwrap(), json!({"colour": "#fff"}));
    assert_eq!(
        load("meta = 7", "[model.meta]\nrange = [\n1,\ninf]\nbig = 99999999999999999999\nlarge = 1e400")
            .unwrap_err(),
        [
            "sale.toml:8: `meta` must be a table; in JSON, an object",
            "sale.toml:16: `meta` has inf, which is not a number in JSON",
            "sale.toml:17: `meta` has a whole number of more than 64 bits, 99999999999999999999: write it as a text",
            "sale.toml:18: `meta` has a number beyond the range of a 64-bit float, 1e400: write it as a text",
        ]
    );
}
