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
mod tests;
