//! Parses the journal of a sale as `gateway journal` prints it.

use serde::Deserialize;

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

/// The lines of a text; of one that can't be read why, and the line.
pub fn parse(text: &str) -> impl Iterator<Item = Result<Line, String>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")))
}
