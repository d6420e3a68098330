//! Parses `XREAD` replies.

use std::collections::HashMap;

use redis::Value;

use crate::store::reply::text;

/// The entries of an `XREAD` reply, by sale; `None` if any part is invalid. Nil means no new
/// entries.
pub(crate) fn streams(answer: Value, asked: &HashMap<String, &String>) -> Option<Vec<(String, Vec<Value>)>> {
    let streams = match answer {
        Value::Array(streams) => streams,
        Value::Nil => return Some(Vec::new()),
        _ => return None,
    };
    let stream = |value: Value| {
        let Value::Array(pair) = value else { return None };
        let [key, Value::Array(entries)] = <[Value; 2]>::try_from(pair).ok()? else { return None };
        Some(((*asked.get(&text(&key)?)?).clone(), entries))
    };
    streams.into_iter().map(stream).collect()
}

#[cfg(test)]
mod tests;
