//! Parses replies of Redis completely: an unexpected shape is a counted failure, and never an empty
//! result.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use redis::{ErrorKind, RedisError, Value};

/// Unreadable replies since the start of the process.
static UNREADABLE: AtomicU64 = AtomicU64::new(0);

/// The number of unreadable replies since the start.
pub fn unreadable_replies() -> u64 {
    UNREADABLE.load(Relaxed)
}

/// Counts an unreadable reply.
pub(crate) fn count_unreadable() {
    UNREADABLE.fetch_add(1, Relaxed);
}

/// Counts an error if it is about an unreadable reply.
pub(crate) fn note(error: &RedisError) {
    if matches!(error.kind(), ErrorKind::Parse | ErrorKind::UnexpectedReturnType) {
        count_unreadable();
    }
}

/// The failure for an unexpected shape of the reply to `what`, without its contents, which may name
/// buyers.
pub(crate) fn unreadable(what: &'static str, expected: &str, found: &str) -> RedisError {
    let detail = format!("the reply to {what} can't be read: expected {expected}, found {found}");
    RedisError::from((ErrorKind::UnexpectedReturnType, "unexpected reply of Redis", detail))
}

/// A value as text; `None` if it is not text. Invalid UTF-8 is replaced: one damaged field must not
/// hide the others.
pub fn text(value: &Value) -> Option<String> {
    Some(match value {
        // Nearly all replies are text; this check is vectorised.
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

/// A list of texts; `None` if it is anything else.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    values.iter().map(text).collect()
}

/// Names and values in turn; `None` if it is not a list of texts, or a value is missing.
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

/// The kind of a value, without its contents.
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
