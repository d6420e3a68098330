//! Unit tests of `slots.rs`.

use super::*;

#[test]
fn slots_are_read_whole_or_not_at_all() {
    let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let row = |first, last, host: &str, port| {
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            Value::Array(vec![bulk(host), Value::Int(port), bulk("id"), Value::Array(vec![])]),
            Value::Array(vec![bulk("replica"), Value::Int(1), bulk("id")]),
        ])
    };
    let reply = Value::Array(vec![row(0, 99, "a", 7001), row(100, 16_383, "", 7002)]);
    let range = |slots, host: &str, port| Range { slots, host: host.to_owned(), port, id: "id".to_owned() };
    let read = ranges(&reply, "asked").unwrap();
    assert_eq!(read, [range(0..100, "a", 7001), range(100..16_384, "asked", 7002)]);
    let unknown = |endpoint: Value, more: &[&str]| {
        let more = Value::Array(more.iter().map(|text| bulk(text)).collect());
        let master = Value::Array(vec![endpoint, Value::Int(7001), bulk("id"), more]);
        let rows = Value::Array(vec![Value::Array(vec![Value::Int(0), Value::Int(99), master])]);
        ranges(&rows, "asked").map(|ranges| ranges[0].host.clone())
    };
    assert_eq!(unknown(Value::Nil, &["ip", "10.0.0.1"]).unwrap(), "asked");
    assert_eq!(unknown(bulk("?"), &["ip", "10.0.0.1"]).unwrap(), "10.0.0.1");
    assert_eq!(unknown(bulk("?"), &[]).unwrap(), "?");
    assert_eq!(unknown(Value::Map(vec![]), &[]), None);
    for bad in [Value::Nil, Value::Array(vec![Value::Nil]), Value::Array(vec![row(0, 16_384, "a", 1)])] {
        assert_eq!(ranges(&bad, "asked"), None, "{bad:?}");
    }
    assert_eq!(ranges(&Value::Array(vec![row(0, 1, "a", 70_000)]), "asked"), None);
}
