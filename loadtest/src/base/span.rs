//! Times as people write them: `90s`, `2m`, `1m30s`, `500ms`, or a bare number of seconds.

use std::time::Duration;

/// Parses a span; the error shows how to write one.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| "write it as 90s, 2m or 500ms".to_owned())?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}

/// As short as it is exact enough for people: `340 µs`, `1.2 ms`, `340 ms`, `2.5 s`, `90 s`.
pub(crate) fn words(span: Duration) -> String {
    let us = (span.as_nanos() + 500) / 1000;
    match ms(span) {
        _ if us < 1000 => format!("{us} µs"),
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms if ms < 60_000.0 => format!("{:.1} s", ms / 1000.0),
        ms => format!("{:.0} s", ms / 1000.0),
    }
}

/// In milliseconds, with their fractions.
pub(crate) fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Milliseconds as people read them.
pub(crate) fn words_of_ms(ms: f64) -> String {
    words(Duration::from_secs_f64(ms.max(0.0) / 1000.0))
}

/// Reads back as just this time, where [`words`] rounds.
pub(crate) fn exact(span: Duration) -> String {
    match span.as_nanos() {
        ns if ns % 1_000_000_000 == 0 => format!("{}s", ns / 1_000_000_000),
        ns if ns % 1_000_000 == 0 => format!("{}ms", ns / 1_000_000),
        ns if ns % 1_000 == 0 => format!("{}us", ns / 1_000),
        ns => format!("{ns}ns"),
    }
}

/// For serde's `with`.
pub(crate) mod text {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse(&text).map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

#[cfg(test)]
mod tests;
