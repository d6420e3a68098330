//! Tests of whole definitions: all mistakes at once, with their positions.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

mod draw;
mod forms;
mod hostile;
mod texts;

const SALE: &str = r#"[sale]
id = "s"
name = "S"
opens_at = 2026-11-09T20:00:00+08:00
closes_at = 2026-11-12T00:00:00+08:00
hold = "15m"
currency = "CNY"
[[model]]
id = "m"
name = "M"
price = 5
"#;

const JSON: &str = r#"{"sale": {"id": "s", "name": "S", "opens_at": "2026-11-09T12:00:00Z",
    "closes_at": "2026-11-11T16:00:00Z", "hold": "15m", "currency": "CNY"},
    "model": [{"id": "m", "name": "M", "price": 5}]}"#;

const STORES: &str = "\n[stores]\nfile = \"stores.csv\"\n";

fn folder(toml: impl AsRef<[u8]>, csv: Option<&[u8]>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sale.toml"), toml).unwrap();
    if let Some(csv) = csv {
        fs::write(folder.path().join("stores.csv"), csv).unwrap();
    }
    folder
}

/// The mistakes as texts, without the folder.
fn messages(folder: &Path, result: Result<Definition, Vec<Mistake>>) -> Vec<String> {
    let folder = format!("{}/", folder.display());
    let mistakes = result.expect_err("a mistake");
    assert!(!mistakes.is_empty());
    mistakes.iter().map(|mistake| mistake.to_string().replace(&folder, "")).collect()
}

fn of_toml(toml: impl AsRef<[u8]>) -> Vec<String> {
    let folder = folder(toml, None);
    messages(folder.path(), Definition::load(&folder.path().join("sale.toml")))
}

fn of_csv(csv: &[u8]) -> Vec<String> {
    let folder = folder(format!("{SALE}{STORES}"), Some(csv));
    messages(folder.path(), Definition::load(&folder.path().join("sale.toml")))
}

fn of_json(json: impl AsRef<[u8]>) -> Vec<String> {
    messages(Path::new("-"), Definition::from_json(json.as_ref()))
}

/// The positions of the mistakes, and how their messages begin.
#[track_caller]
fn assert_messages(messages: &[String], expected: &[&str]) {
    let fits = messages.len() == expected.len()
        && messages.iter().zip(expected).all(|(messages, start)| messages.starts_with(start));
    assert!(fits, "found:\n  {}\nexpected:\n  {}", messages.join("\n  "), expected.join("\n  "));
}

#[test]
fn both_forms_are_equal_and_defaults_are_filled_in() {
    let folder = folder(SALE, None);
    let definition = Definition::load(&folder.path().join("sale.toml")).unwrap();
    assert_eq!(Definition::from_json(JSON.as_bytes()).unwrap(), definition);
    let sale = &definition.sale;
    assert_eq!((sale.hold_ms, sale.grace_ms, sale.per_buyer, sale.attempts), (900_000, 60_000, 1, 5));
    assert_eq!((sale.deposit, sale.rehearsal), (0, false));
    assert_eq!(sale.opens_at.to_string(), "2026-11-09T12:00:00Z");
    assert_eq!(definition.models[0].stock, None);
    assert!(definition.packages.is_empty() && definition.stores.is_empty());
}

#[test]
fn attempts_are_at_least_per_buyer() {
    let definition = |keys: &str| {
        let folder = folder(SALE.replace("[[model]]", &format!("{keys}\n[[model]]")), None);
        Definition::load(&folder.path().join("sale.toml"))
    };
    assert_eq!(definition("per_buyer = 7").unwrap().sale.attempts, 7);
    assert_eq!(definition("per_buyer = 7\nattempts = 8").unwrap().sale.attempts, 8);
    assert!(definition("per_buyer = 7\nattempts = 6").is_err());
}

#[test]
fn the_json_form_has_the_keys_of_the_contract() {
    let folder = folder(format!("{SALE}{STORES}"), Some(b"id,name,city,capacity\ngz-1,A,B,\ngz-2,A,B,7\n"));
    let json = Definition::load(&folder.path().join("sale.toml")).unwrap().to_json();
    let expected = r#"{"sale":{"id":"s","name":"S","opens_at":"2026-11-09T12:00:00Z","closes_at":"2026-11-11T16:00:00Z","hold":"15m","grace":"1m","per_buyer":1,"attempts":5,"currency":"CNY","deposit":0,"rehearsal":false},"model":[{"id":"m","name":"M","price":5}],"package":[],"stores":[{"id":"gz-1","name":"A","city":"B"},{"id":"gz-2","name":"A","city":"B","capacity":7}]}"#;
    assert_eq!(json, expected);
}

#[test]
fn serde_goes_through_the_rules() {
    let definition: Definition = serde_json::from_str(JSON).unwrap();
    assert_eq!(definition, Definition::from_json(JSON.as_bytes()).unwrap());
    let error = serde_json::from_str::<Definition>(&JSON.replace('5', "-5")).unwrap_err();
    assert!(error.to_string().contains("/model/0/price"), "{error}");
}

#[test]
fn every_mistake_of_all_files_is_reported_in_order() {
    let toml = r#"[sale]
id = "Not good"
name = ""
opens_at = 2026-11-12T00:00:00
closes_at = 2026-11-12T00:00:00+08:00
hold = 900
grace = "2h"
per_buyer = 0
attempts = 101
currency = "yuan"
deposit = -1
rehearsal = "no"
colour = "red"

[[model]]
id = "a"
nmae = "A"
price = 1.5
stock = 1_000_000_001

[[model]]
id = "a"
name = "A"
price = 99999999999999999999999999999999999999999999

[[package]]
id = "p"
name = "P"
price = 1
models = []

[[package]]
id = "p"
name = "P\u0007"
price = 1
models = [
  "a",
  "b",
  "a",
  7,
]

[stores]
file = "stores.csv"
files = 3
"#;
    let csv = b"id,name,city,capacity
gz-1,A,B,1
gz-1,A,B,1
gz 2,A,B,1
gz-3,A,B
gz-4,A,B,1,2

gz-5,\xff,B,1
gz-6,A,B,-1
gz-7,\"A,B,1
gz-8,,,x
";
    let folder = folder(toml, Some(csv));
    let messages = messages(folder.path(), Definition::load(&folder.path().join("sale.toml")));
    assert_messages(
        &messages,
        &[
            "sale.toml:2: `id` must be 1 to 64 characters of a-z, 0-9 and -, not \"Not good\"",
            "sale.toml:3: `name` must be a text of 1 to 200 characters, not \"\"",
            "sale.toml:4: `opens_at` is a local time, 2026-11-12T00:00:00: write it with its offset",
            "sale.toml:6: `hold` must be \"1s\" to \"24h\", written such as \"15m\", \"90s\" or \"1500ms\", not 900",
            "sale.toml:7: `grace` must be \"0s\" to \"1h\"",
            "sale.toml:8: `per_buyer` must be a whole number from 1 to 100, not 0",
            "sale.toml:9: `attempts` must be a whole number from 1 to 100, not 101",
            "sale.toml:10: `currency` must be three capital letters",
            "sale.toml:11: `deposit` must be a whole number from 0 to 1000000000000, not -1",
            "sale.toml:12: `rehearsal` must be true or false, not \"no\"",
            "sale.toml:13: unknown key `colour`; expected one of id, name,",
            "sale.toml:15: `name` is missing",
            "sale.toml:17: unknown key `nmae`; is `name` meant?",
            "sale.toml:18: `price` must be a whole number from 0 to 1000000000000, not 1.5",
            "sale.toml:19: `stock` must be a whole number from 0 to 1000000000, not 1000000001",
            "sale.toml:22: the id \"a\" is already taken by ",
            "sale.toml:24: `price` must be a whole number",
            "sale.toml:30: `models` must be a list of at least one model's id",
            "sale.toml:33: the id \"p\" is already taken by ",
            "sale.toml:34: `name` has a control character: \"P\\u{7}\"",
            "sale.toml:38: there is no model \"b\"",
            "sale.toml:39: the model \"a\" is named twice",
            "sale.toml:40: a model's id must be",
            "sale.toml:45: unknown key `files`; is `file` meant?",
            "stores.csv:3: the id \"gz-1\" is already taken by stores.csv:2",
            "stores.csv:4: `id` must be",
            "stores.csv:5: a store has 4 columns (id,name,city,capacity), not 3",
            "stores.csv:6: a store has 4 columns (id,name,city,capacity), not 5",
            "stores.csv:8: `name` is not UTF-8",
            "stores.csv:9: `capacity` must be a whole number from 0 to 1000000000, not \"-1\"",
            "stores.csv:10: a quote is opened on this line and not closed",
            "stores.csv:11: `name` must be a text",
            "stores.csv:11: `city` must be a text",
            "stores.csv:11: `capacity` must be a whole number",
        ],
    );
}

#[test]
fn json_mistakes_have_pointers() {
    let json = r#"{"sale": {"id": "s", "id": "t", "name": null, "opens_at": "2026-11-12T00:00:00Z",
        "closes_at": "2026-11-12T00:00:00Z", "hold": "999ms", "hold_ms": 5, "currency": "CNY",
        "configure_until": "2026-11-12T00:00:00Z"},
        "model": [{"id": "a", "name": "A", "price": 1}, 5, {"id": "a", "name": "A", "price": 1e3, "stock": null}],
        "package": [{"id": "p", "name": "P", "price": 18446744073709551616, "models": ["a", "b"], "x/y": 1}],
        "stores": [{"id": "z", "name": "Z", "city": "C", "capacity": null}, {"id": "z", "name": "Z", "capacity": "3"}],
        "stor": []}"#;
    assert_messages(
        &of_json(json),
        &[
            "/stor: unknown key `stor`; is `stores` meant?",
            "/sale/id: `id` appears twice",
            "/sale/hold_ms: unknown key `hold_ms`; is `hold` meant?",
            "/sale: `name` is missing",
            "/sale/closes_at: `closes_at` must be later than `opens_at`",
            "/sale/hold: `hold` must be",
            "/sale/configure_until: `configure_until` must be later than `opens_at`",
            "/model/1: must be a table with id, name, price, stock, meta",
            "/model/2/price: `price` must be a whole number from 0 to 1000000000000, not 1e3",
            "/model/2/id: the id \"a\" is already taken by /model/0/id",
            "/package/0/x~1y: unknown key `x/y`",
            "/package/0/price: `price` must be",
            "/package/0/models/1: there is no model \"b\"",
            "/stores/1: `city` is missing",
            "/stores/1/capacity: `capacity` must be a whole number",
            "/stores/1/id: the id \"z\" is already taken by /stores/0/id",
        ],
    );
}

#[test]
fn what_stores_may_have_is_read_and_checked() {
    let csv = "id,name,city,capacity,province,address,lat,lng\n\
        gz-1,A,B,1,\u{3000}Guangdong,1 Road,23.12911004,113.264385\n\
        gz-2,A,B,1,,,,\n\
        gz-3,A,B,1,,,-90,180\n\
        gz-4,A,B,1,,,1e1,-0.5\n";
    let folder = folder(format!("{SALE}{STORES}"), Some(csv.as_bytes()));
    let stores = Definition::load(&folder.path().join("sale.toml")).unwrap().stores;
    let at = |n: usize| (stores[n].lat.map(Degrees::value), stores[n].lng.map(Degrees::value));
    assert_eq!(
        (stores[0].province.as_deref(), stores[0].address.as_deref()),
        (Some("Guangdong"), Some("1 Road"))
    );
    assert_eq!(at(0), (Some(23.129_11), Some(113.264_385)));
    assert_eq!(
        (stores[1].province.as_deref(), stores[1].address.as_deref(), at(1)),
        (None, None, (None, None))
    );
    assert_eq!((at(2), at(3)), ((Some(-90.0), Some(180.0)), (Some(10.0), Some(-0.5))));
    let long = "x".repeat(201);
    let csv = format!(
        "lat,lng,id,name,city,capacity,address\n90.1,0,a,A,B,,\n1,,b,A,B,,\n,1,c,A,B,,\nnorth,nan,d,A,B,,\n0,inf,e,A,B,,{long}\n"
    );
    assert_messages(
        &of_csv(csv.as_bytes()),
        &[
            "stores.csv:2: `lat` must be a number of degrees from -90 to 90, such as 23.1291, not 90.1",
            "stores.csv:3: `lng` is missing; `lat` is there",
            "stores.csv:4: `lat` is missing; `lng` is there",
            "stores.csv:5: `lat` must be a number of degrees from -90 to 90, such as 23.1291, not \"north\"",
            "stores.csv:5: `lng` must be a number of degrees from -180 to 180, such as 23.1291, not nan",
            "stores.csv:6: `address` must be a text of 1 to 200 characters",
            "stores.csv:6: `lng` must be a number of degrees",
        ],
    );
    let json = JSON.replace(
        "5}]}",
        r#"5}], "stores": [{"id": "a", "name": "A", "city": "B", "province": null, "lat": 1, "lng": "2"}]}"#,
    );
    assert_messages(&of_json(&json), &["/stores/0/lng: `lng` must be a number of degrees from -180 to 180"]);
}

#[test]
fn missing_required_keys_are_reported() {
    assert_messages(&of_json("{}"), &["the table `sale` is missing", "at least 1 `model` is needed"]);
    let missing = ["id", "name", "opens_at", "closes_at", "hold", "currency"];
    let mut expected: Vec<_> = missing.map(|key| format!("/sale: `{key}` is missing")).into();
    expected.push("at least 1 `model` is needed, in TOML `[[model]]`".to_owned());
    assert_eq!(of_json(r#"{"sale": {}, "model": []}"#), expected);
}

#[test]
fn wrong_types_do_not_hide_each_other() {
    assert_messages(&of_json("[]"), &["must be a table with sale, model, package, stores"]);
    let messages =
        of_json(r#"{"sale": 1, "model": {"id": "a"}, "package": "p", "stores": {"file": "stores.csv"}}"#);
    assert_messages(
        &messages,
        &[
            "/sale: must be a table with id, name,",
            "/model: `model` must be a list of tables",
            "/package: `package` must be a list of tables",
            "/stores: `stores` must be a list of tables",
        ],
    );
    assert_messages(
        &of_toml("sale = 1\nstores = [1]\n[model]\n[[package]]\n"),
        &[
            "sale.toml:1: must be a table",
            "sale.toml:2: must be a table with file",
            "sale.toml:3: `model` must be a list",
            "sale.toml:4: `id` is missing",
            "sale.toml:4: `name` is missing",
            "sale.toml:4: `price` is missing",
        ],
    );
}

#[test]
fn quotes_spaces_line_ends_and_byte_order_marks_of_spreadsheets_pass() {
    let csv = "\u{feff}id, name, city, capacity\r\n\r\ngz-1,\"A, \"\"B\"\"\",C,\r\ngz-2, D ,E,1";
    let folder = folder(format!("{SALE}{STORES}"), Some(csv.as_bytes()));
    let stores = Definition::load(&folder.path().join("sale.toml")).unwrap().stores;
    assert_eq!(stores.len(), 2);
    assert_eq!((stores[0].name.as_str(), stores[0].capacity), ("A, \"B\"", None));
    assert_eq!((stores[1].name.as_str(), stores[1].capacity), ("D", Some(1)));
}

#[test]
fn a_hundred_mistakes_are_reported_and_the_others_counted() {
    let csv = "id,name,city,capacity\n".to_owned() + &"!,A,B,1\n".repeat(150);
    let folder = folder(format!("{SALE}{STORES}"), Some(csv.as_bytes()));
    let mistakes = Definition::load(&folder.path().join("sale.toml")).unwrap_err();
    assert_eq!(mistakes.len(), 101);
    // Each row has an invalid id, and all but the first have a duplicate one.
    assert_eq!(mistakes[100].to_string(), "and 199 more");
}

#[test]
fn missing_files_are_reported() {
    let empty = tempfile::tempdir().unwrap();
    let load = |path: &Path| messages(empty.path(), Definition::load(path));
    assert_messages(&load(&empty.path().join("sale.toml")), &["sale.toml: can't be read: "]);
    assert_eq!(load(empty.path()).len(), 1);

    let folder = folder(format!("{SALE}{STORES}"), None);
    let path = folder.path().join("sale.toml");
    assert_eq!(messages(folder.path(), Definition::load(&path)), ["sale.toml:14: stores.csv is missing"]);
    fs::write(folder.path().join("make-stores"), "").unwrap();
    let messages = messages(Path::new("-"), Definition::load(&path));
    assert!(messages[0].contains("&& sh make-stores > stores.csv"), "{messages:?}");
    assert_messages(&of_toml(format!("{SALE}[stores]")), &["sale.toml:12: `file` is missing"]);
}

#[test]
fn the_numbers_of_items_are_limited() {
    let models: String =
        (0..1_001).map(|n| format!("[[model]]\nid = \"{n}\"\nname = \"N\"\nprice = 1\n")).collect();
    let sale = &SALE[..SALE.find("[[model]]").unwrap()];
    let line = sale.lines().count() + 4 * 1_000 + 1;
    let expected = format!("sale.toml:{line}: at most 1000 of `model` are possible, there are 1001");
    assert_eq!(of_toml(format!("{sale}{models}")), [expected]);
}
