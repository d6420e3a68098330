//! Durations as texts: a whole number with a unit, such as 15m.

use std::fmt;
use std::time::Duration;

/// The units in milliseconds. Options have no milliseconds, definitions no days.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const OF_OPTIONS: &[(&str, u64)] = UNITS.split_at(4).0;
const OF_DEFINITIONS: &[(&str, u64)] = UNITS.split_at(1).1;

/// Parses a duration of the command line, such as 90s, 15m or 1h.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = parse(text, OF_OPTIONS).and_then(|ms| u64::try_from(ms / 1_000).ok());
    let duration = seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs);
    duration.ok_or_else(|| format!("{text:?} is not a valid duration like 90s, 15m or 1h"))
}

/// The milliseconds of a duration in a definition, such as 15m, 90s or 1500ms.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(parse(text, OF_DEFINITIONS)?).ok()
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u128> {
    let (number, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(u128::from(number.parse::<u64>().ok()?) * u128::from(*factor))
}

/// Milliseconds as [`milliseconds`] reads them, in the largest unit that is exact.
#[derive(Debug)]
pub(crate) struct DurationText(pub(crate) u64);

impl fmt::Display for DurationText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return out.write_str("0s");
        }
        let exact = OF_DEFINITIONS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.unwrap_or(&("ms", 1));
        write!(out, "{}{unit}", self.0 / factor)
    }
}

#[cfg(test)]
// The relay includes this file by its path.
#[path = "duration/tests.rs"]
mod tests;
