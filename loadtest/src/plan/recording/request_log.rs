//! Reads the request log of an earlier run: JSON, a line each.

use serde::Deserialize;

use crate::plan::recording::Recorded;

/// A line, as far as a replay needs it; `load/request_log.rs` writes it.
#[derive(Deserialize)]
struct Line {
    at_us: i64,
    buyer: usize,
    method: String,
    path: String,
    key: Option<String>,
    body: Option<String>,
}

/// Whether the first line looks like one of such a log.
pub(super) fn is_one(text: &str) -> bool {
    text.lines().next().is_some_and(|first| serde_json::from_str::<Line>(first).is_ok())
}

pub(super) fn read(text: &str) -> Result<Vec<Recorded>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let Line { at_us, buyer, method, path, key, body } =
                serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))?;
            let (client, body) = (buyer.to_string(), body.unwrap_or_default());
            Ok(Recorded { at_us, method, path, client, key, body, reservation: None })
        })
        .collect()
}
