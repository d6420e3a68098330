//! Tests of names and files as spreadsheets, input methods and editors write them.

use super::*;

#[test]
fn names_are_normalised_in_every_form() {
    let toml = SALE.replace("name = \"S\"", "name = \"\u{3000}National\u{a0}Good  Car\u{3000}\"");
    let csv = "id,name,city,capacity\ngz-1,\u{a0}天河\u{3000}店,Mu\u{308}nchen\u{2003},5\n";
    let files = folder(format!("{toml}{STORES}"), Some(csv.as_bytes()));
    let loaded = Definition::load(&files.path().join("sale.toml")).unwrap();
    assert_eq!(loaded.sale.name, "National Good Car");
    assert_eq!((loaded.stores[0].name.as_str(), loaded.stores[0].city.as_str()), ("天河 店", "München"));

    let json = JSON.replace(r#""name": "S""#, "\"name\": \"\u{3000}National\u{a0}Good  Car\u{3000}\"").replace(
        "5}]}",
        "5}], \"stores\": [{\"id\": \"gz-1\", \"name\": \"\u{a0}天河\u{3000}店\", \"city\": \"Mu\u{308}nchen\", \"capacity\": 5}]}",
    );
    assert_eq!(Definition::from_json(json.as_bytes()).unwrap(), loaded);
    // The ledger keeps the text of an older version until the definition is applied again.
    let stored = Definition::from_ledger(json.as_bytes()).unwrap();
    assert_eq!(stored.stores[0].city, "Mu\u{308}nchen");
    assert_eq!(stored.odd_texts().count(), 3);
    assert_eq!(loaded.odd_texts().count(), 0);
}

#[test]
fn invisible_characters_are_refused_with_their_line() {
    let toml = SALE.replace("name = \"M\"", "name = \"M\u{200d}\"") + STORES;
    let csv = "id,name,city,capacity\n\
        gz-1,A,B,1\n\
        gz-2,A\u{200b},B,1\n\
        gz-3,A,\u{202e}B,1\n\
        gz-4,A,B\u{feff},1\n\
        gz-5\u{a0},A,B,\u{3000}1\n\
        gz-6,A,B\u{2028}C,1\n";
    let files = folder(toml, Some(csv.as_bytes()));
    assert_messages(
        &messages(files.path(), Definition::load(&files.path().join("sale.toml"))),
        &[
            r#"sale.toml:10: `name` has the invisible character U+200D, so that no search finds it: "M\u{200d}""#,
            "stores.csv:3: `name` has the invisible character U+200B",
            "stores.csv:4: `city` has the invisible character U+202E",
            "stores.csv:5: `city` has the invisible character U+FEFF",
            r#"stores.csv:6: `id` must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-', not "gz-5\u{a0}""#,
            r#"stores.csv:6: `capacity` must be a whole number from 0 to 1000000000, not "\u{3000}1""#,
            "stores.csv:7: `city` has the invisible character U+2028",
        ],
    );
    let json = JSON.replace("\"M\"", "\"M\u{2066}\"");
    assert_messages(&of_json(&json), &["/model/0/name: `name` has the invisible character U+2066"]);
    // A ledger may contain such a name: the sale must stay readable.
    assert!(Definition::from_ledger(json.as_bytes()).is_ok());
}

#[test]
fn other_encodings_are_reported_with_the_conversion() {
    let csv = "id,name,city,capacity\r\ngz-1,广州天河店,广州,5\r\n";
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let gbk = b"id,name,city,capacity\r\ngz-1,\xb9\xe3\xd6\xdd\xb5\xea,\xb9\xe3\xd6\xdd,5\r\ngz-2,\xb5\xea,\xb9\xe3,x\r\n";
    let of = |name: &str, of_iconv: &str| {
        format!("is {name}, expected UTF-8: convert it with `iconv -f {of_iconv} -t UTF-8 OLD > NEW`")
    };
    for (bytes, what) in [
        (utf16(&format!("\u{feff}{csv}")), of("UTF-16", "UTF-16")),
        (utf16(csv), of("UTF-16, little-endian", "UTF-16LE")),
        (gbk.to_vec(), of("GBK or GB18030", "GB18030")),
    ] {
        assert_eq!(of_csv(&bytes), [format!("stores.csv: {what}")]);
    }
    let chinese = [SALE.as_bytes(), b"# \xb9\xe3\xd6\xdd\xb5\xea\n"].concat();
    assert_eq!(of_toml(chinese), [format!("sale.toml: {}", of("GBK or GB18030", "GB18030"))]);
    assert_eq!(of_toml(utf16(SALE)), [format!("sale.toml: {}", of("UTF-16, little-endian", "UTF-16LE"))]);
    assert_eq!(of_json(utf16(JSON)), [of("UTF-16, little-endian", "UTF-16LE")]);
}

#[test]
fn a_mark_of_utf8_is_accepted_everywhere() {
    let files =
        folder(format!("\u{feff}{SALE}{STORES}"), Some("\u{feff}id,name,city,capacity\na,B,C,\n".as_bytes()));
    let loaded = Definition::load(&files.path().join("sale.toml")).unwrap();
    assert_eq!(loaded.stores[0].id, "a");
    assert_eq!(loaded.sale, Definition::from_json(format!("\u{feff}{JSON}").as_bytes()).unwrap().sale);
    // Line numbers do not change.
    let wrong = SALE.replace("price = 5", "price = -5");
    assert_messages(&of_toml(format!("\u{feff}{wrong}")), &["sale.toml:11: `price` must be"]);
}

#[test]
fn columns_follow_the_order_of_the_header() {
    let files = folder(format!("{SALE}{STORES}"), Some(b"city,capacity,name,id\nB,7,A,gz-1\n"));
    let store = &Definition::load(&files.path().join("sale.toml")).unwrap().stores[0];
    assert_eq!((&*store.id, &*store.name, &*store.city, store.capacity), ("gz-1", "A", "B", Some(7)));
}

#[test]
fn a_zone_that_contradicts_its_offset_is_refused_in_every_form() {
    let contradiction = "\"2026-11-09T20:00:00+08:00[Europe/Berlin]\"";
    let what = "`opens_at` has a time zone in brackets that is unknown here or has another offset";
    let toml = SALE.replace("2026-11-09T20:00:00+08:00", contradiction);
    assert_messages(&of_toml(toml), &[&format!("sale.toml:4: {what}")]);
    let json = JSON.replace("\"2026-11-09T12:00:00Z\"", contradiction);
    assert_messages(&of_json(&json), &[&format!("/sale/opens_at: {what}")]);
}
