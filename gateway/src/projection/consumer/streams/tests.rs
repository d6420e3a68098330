//! Unit tests of `streams.rs`.

use super::*;

#[test]
fn an_invalid_xread_reply_is_never_an_empty_one() {
    let (id, bulk) = ("small".to_owned(), |text: &str| Value::BulkString(text.as_bytes().to_vec()));
    let asked = HashMap::from([("journal".to_owned(), &id)]);
    let entry = Value::Array(vec![bulk("1-0"), Value::Array(vec![bulk("kind"), bulk("pause")])]);
    let stream = |key: &str| Value::Array(vec![bulk(key), Value::Array(vec![entry.clone()])]);
    assert_eq!(streams(Value::Nil, &asked), Some(vec![]));
    let news = streams(Value::Array(vec![stream("journal")]), &asked);
    assert_eq!(news, Some(vec![(id.clone(), vec![entry.clone()])]));
    // The RESP3 form; a journal that was not requested; half a pair; an error instead of a stream.
    let strange = [
        Value::Map(vec![(bulk("journal"), Value::Array(vec![entry.clone()]))]),
        Value::Array(vec![stream("journal"), stream("other")]),
        Value::Array(vec![Value::Array(vec![bulk("journal")])]),
        Value::Array(vec![Value::Array(vec![bulk("journal"), Value::Nil])]),
        Value::Array(vec![Value::Nil]),
        Value::Okay,
    ];
    for answer in strange {
        assert_eq!(streams(answer.clone(), &asked), None, "{answer:?}");
    }
}
