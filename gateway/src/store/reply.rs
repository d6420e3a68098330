//! Reads replies of Redis, whole or not at all: a shape that is not expected is a failure, which is counted, and never "nothing".

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use redis::{ErrorKind, RedisError, Value};

/// Replies that could not be read, since the start of the process.
static UNREADABLE: AtomicU64 = AtomicU64::new(0);

/// How many replies of Redis could not be read so far.
#[must_use]
pub fn unreadable_replies() -> u64 {
    UNREADABLE.load(Relaxed)
}

/// Counts a reply that could not be read.
pub(crate) fn count_unreadable() {
    UNREADABLE.fetch_add(1, Relaxed);
}

/// Counts an error if it is about a reply that could not be read.
pub(crate) fn note(error: &RedisError) {
    if matches!(error.kind(), ErrorKind::Parse | ErrorKind::UnexpectedReturnType) {
        count_unreadable();
    }
}

/// The failure that a reply to `what` has another shape than expected; without its contents, which may name buyers.
pub(crate) fn unreadable(what: &'static str, expected: &str, found: &str) -> RedisError {
    let detail = format!("the reply to {what} can't be read: expected {expected}, found {found}");
    RedisError::from((ErrorKind::UnexpectedReturnType, "unexpected reply of Redis", detail))
}

/// A value as text; `None`: it is not one. Bytes that are not UTF-8 are replaced: one damaged field must not hide its siblings.
#[must_use]
pub fn text(value: &Value) -> Option<String> {
    Some(match value {
        // Nearly always it is text, which a plain look finds out many bytes at a time.
        Value::BulkString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        },
        Value::SimpleString(text) => text.clone(),
        Value::Int(n) => n.to_string(),
        Value::Okay => "OK".to_owned(),
        _ => return None,
    })
}

/// A list of texts; `None`: it is not one, or one of them is not.
#[must_use]
pub fn texts(value: &Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    values.iter().map(text).collect()
}

/// Names and values in turn; `None`: it is not a list of texts, or a value is missing.
#[must_use]
pub fn pairs(value: &Value) -> Option<Vec<(String, String)>> {
    let Value::Array(flat) = value else { return None };
    let (pairs, rest) = flat.as_chunks::<2>();
    rest.is_empty().then_some(())?;
    pairs.iter().map(|[name, value]| Some((text(name)?, text(value)?))).collect()
}

/// The reply to `what` as a list.
pub(crate) fn list(what: &'static str, reply: Value) -> Result<Vec<Value>, RedisError> {
    match reply {
        Value::Array(values) => Ok(values),
        other => Err(unreadable(what, "a list", &shape(&other))),
    }
}

/// The reply to `what` as a list of texts.
pub(crate) fn list_of_texts(what: &'static str, reply: &Value) -> Result<Vec<String>, RedisError> {
    texts(reply).ok_or_else(|| unreadable(what, "a list of texts", &shape(reply)))
}

/// The reply to `what` as names with their values.
pub(crate) fn map(what: &'static str, reply: &Value) -> Result<BTreeMap<String, String>, RedisError> {
    let pairs = pairs(reply).ok_or_else(|| unreadable(what, "names and values in turn", &shape(reply)))?;
    Ok(pairs.into_iter().collect())
}

/// What kind of value it is, without its contents.
pub(crate) fn shape(value: &Value) -> String {
    match value {
        Value::Nil => "nil".to_owned(),
        Value::Int(_) => "a number".to_owned(),
        Value::BulkString(bytes) => format!("a text of {} bytes", bytes.len()),
        Value::SimpleString(_) | Value::Okay => "a status".to_owned(),
        Value::Array(values) => format!("a list of {}", values.len()),
        Value::Map(pairs) => format!("a map of {}", pairs.len()),
        Value::Set(values) => format!("a set of {}", values.len()),
        _ => "another kind of value".to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
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
        assert!(
            words.contains("XREAD") && words.contains("a map of 1") && !words.contains("secret"),
            "{words}"
        );
    }
}
