//! Unit tests of `reply.rs`.

use super::*;

fn bulk(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

#[test]
fn shapes_that_are_not_expected_are_never_empty() {
    let strange = [
        Value::Nil,
        Value::Map(vec![(bulk("a"), bulk("b"))]),
        Value::Set(vec![bulk("a")]),
        Value::Boolean(true),
        Value::Double(1.5),
    ];
    for value in strange {
        assert_eq!(text(&value), None, "{value:?}");
        assert_eq!(texts(&value), None, "{value:?}");
        assert_eq!(texts(&Value::Array(vec![bulk("a"), value.clone()])), None, "{value:?}");
        assert_eq!(pairs(&value), None, "{value:?}");
        assert_eq!(pairs(&Value::Array(vec![bulk("a"), value.clone()])), None, "{value:?}");
        assert!(list("XRANGE", value.clone()).is_err(), "{value:?}");
        assert!(list_of_texts("SMEMBERS", &value).is_err(), "{value:?}");
        assert!(map("HGETALL", &value).is_err(), "{value:?}");
    }
    assert_eq!(pairs(&Value::Array(vec![bulk("a")])), None);
    assert_eq!(texts(&Value::Array(vec![])), Some(vec![]));
    let found = map("HGETALL", &Value::Array(vec![bulk("a"), Value::Int(1)])).unwrap();
    assert_eq!(found, [("a".to_owned(), "1".to_owned())].into());
}

#[test]
fn the_error_names_the_shape_and_no_contents() {
    let error = unreadable("XREAD", "streams", &shape(&Value::Map(vec![(bulk("secret"), bulk("x"))])));
    let words = error.to_string();
    assert!(words.contains("XREAD") && words.contains("a map of 1") && !words.contains("secret"), "{words}");
}
