//! Tests of hostile input: broken, binary, deeply nested, huge.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn broken_toml_is_reported_with_later_mistakes() {
    let toml =
        SALE.replace("hold = \"15m\"", "hold = 15m").replace("name = \"M\"", "name \"M\"") + "stock = -1\n";
    assert_messages(
        &of_toml(toml),
        &["sale.toml:6: not TOML: ", "sale.toml:10: not TOML: ", "sale.toml:12: `stock` must be"],
    );
    let twice = SALE.replace("price = 5", "price = 5\nprice = 6\nstock = true");
    assert_messages(
        &of_toml(twice),
        &["sale.toml:12: not TOML: duplicate key", "sale.toml:13: `stock` must be"],
    );
    assert_messages(&of_toml(SALE.replace("\"CNY\"", "\"CNY")), &["sale.toml:7: not TOML: "]);
    let not_utf8 = [SALE.as_bytes(), b"# \xff\nstock = 'x'\n"].concat();
    assert_messages(&of_toml(not_utf8), &["sale.toml:12: is not UTF-8", "sale.toml:13: `stock` must be"]);
}

#[test]
fn hostile_toml_is_refused() {
    assert_messages(
        &of_toml(""),
        &["sale.toml:1: the table `sale` is missing", "sale.toml:1: at least 1 `model`"],
    );
    assert_messages(&of_toml([0, 159, 146, 150]), &["sale.toml: is not a text file"]);
    assert_messages(&of_toml(vec![b'#'; (4 << 20) + 1]), &["sale.toml: can't be read: is larger than 4 MiB"]);
    for deep in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}1{}", "[".repeat(50_000), "]".repeat(50_000)),
        format!("a = {}", "{b=".repeat(50_000)),
        format!("[{}a]", "a.".repeat(50_000)),
        "=\n".repeat(10_000),
        "]\"'''{=\n".repeat(1_000),
    ] {
        let messages = of_toml(deep);
        assert!(messages.len() <= 101);
    }
    for binary in [b"\xff\xfe[\0s\0a\0".as_slice(), &[0xff; 1_000], &[1; 1_000], b"\xf0\x9f"] {
        of_toml(binary);
    }
}

#[test]
fn hostile_json_is_refused() {
    assert_messages(&of_json(""), &["not JSON: EOF while parsing a value at line 1 column 0"]);
    assert_messages(&of_json("[".repeat(100_000)), &["not JSON: recursion limit exceeded"]);
    assert_messages(&of_json(r#"{"a":"#.repeat(100_000)), &["not JSON: recursion limit exceeded"]);
    assert_messages(&of_json([0, 255, 1]), &["not JSON: "]);
    assert_messages(&of_json(b"{\"\xff\": 1}"), &["not JSON: "]);
    assert_messages(&of_json(format!("{JSON} x")), &["not JSON: trailing characters"]);
    assert_messages(&of_json("1e999999"), &["not JSON: number out of range"]);
    let huge = JSON.replace('5', &"9".repeat(300));
    assert!(of_json(huge).len() > 1);
}

#[test]
fn hostile_csv_is_refused() {
    assert_messages(&of_csv(b""), &["stores.csv: is empty; its first line must be id,name,city,capacity"]);
    assert_messages(
        &of_csv(b"nmae,id,city,capacity\na,b,c,1\n"),
        &[
            "stores.csv:1: expected the columns id, name, city, capacity, and possibly province, address, lat, lng; found 4: \"nmae\" (unknown; is name meant?)",
        ],
    );
    assert_messages(&of_csv(&[0, 255, b'"', 0]), &["stores.csv:1: "]);
    let open = b"id,name,city,capacity\r\n\r\na,\"b,c,1\r\nd,e,f,g\r\nh,i,j,\"".as_slice();
    assert_messages(
        &of_csv(open),
        &["stores.csv:3: a quote", "stores.csv:4: `capacity`", "stores.csv:5: a quote"],
    );
    let huge = format!("id,name,city,capacity\na,{},c,{}\n", "b".repeat(100_000), "9".repeat(100));
    assert_messages(
        &of_csv(huge.as_bytes()),
        &["stores.csv:2: `name` must be", "stores.csv:2: `capacity` must be"],
    );
    let quotes = format!("id,name,city,capacity\n{}", "\"\n".repeat(50_001));
    assert_eq!(of_csv(quotes.as_bytes()).len(), 101);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_panics(bytes in vec(any::<u8>(), 0..200), cut in 0..400_usize, text in "\\PC{0,40}") {
        let toml = format!("{SALE}{STORES}").into_bytes();
        let mut spoiled = toml[..cut.min(toml.len())].to_vec();
        spoiled.extend(text.as_bytes());
        spoiled.extend(&toml[cut.min(toml.len())..]);
        for (toml, csv) in [(&bytes, &toml), (&toml, &bytes), (&spoiled, &spoiled)] {
            let folder = folder(toml, Some(csv));
            let _ = Definition::load(&folder.path().join("sale.toml"));
            let _ = Definition::from_json(toml);
        }
    }
}
