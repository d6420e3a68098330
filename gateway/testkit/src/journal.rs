//! Parses the journal of a sale as `gateway journal` prints it.

use serde::Deserialize;

use crate::cli::run;

/// A line of the journal: one change.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    pub id: String,
    pub kind: String,
    #[serde(default)]
    pub reservation: String,
    #[serde(default)]
    pub number: u64,
    #[serde(default)]
    pub version: u64,
    #[serde(default)]
    pub model: String,
    #[serde(default)]
    pub packages: Vec<String>,
    pub store: Option<String>,
    /// Of an `adopt`: how many changes were appended again.
    #[serde(default)]
    pub replayed: serde_json::Value,
}

/// All lines of a sale's journal; the error is the output of `gateway journal`.
pub fn read(sale: &str, redis_url: &str) -> Result<Vec<Line>, String> {
    let done = run(&["journal", sale, "--redis", redis_url]);
    if done.code != 0 {
        return Err(done.err);
    }
    parse(&done.out)
}

/// The lines of a text.
pub fn parse(text: &str) -> Result<Vec<Line>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))).collect()
}
