//! Reads a schedule's file: lines of `second,rate`; a rate holds until the next line's second.

use std::fs::File;
use std::io::Read;

use crate::plan::arrivals::{HORIZON, RATE_MAX, read_number};

const BYTES_MAX: u64 = 1 << 20;
const LINES_MAX: usize = 100_000;

/// A line of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// After the opening; negative before it.
    pub(crate) second: f64,
    /// Starts a second.
    pub(crate) rate: f64,
}

/// Reads the file; an error names the line of the first mistake.
pub(crate) fn read(path: &str) -> Result<Vec<Row>, String> {
    if path.is_empty() {
        return Err("the file's name is missing".to_owned());
    }
    let mut bytes = Vec::new();
    // One byte more than is allowed, to see that it is too much.
    File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{path} can't be read: {error}"))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("{path} has more than {BYTES_MAX} bytes: leave out lines"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => rows(text).map_err(|(line, error)| format!("{path}:{line}: {error}")),
        Err(error) => {
            let line = line_of(&bytes[..error.valid_up_to()]);
            Err(format!("{path}:{line}: is not UTF-8; save the file as UTF-8"))
        }
    }
}

/// The rows of a table, or what is wrong and in which line.
fn rows(text: &str) -> Result<Vec<Row>, (usize, String)> {
    // Spreadsheets write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.lines().count() > LINES_MAX {
        return Err((LINES_MAX + 1, format!("has more than {LINES_MAX} lines: leave out some")));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        // Numbers need no quotes, and one that is not closed would swallow the rest of the file.
        .quoting(false)
        .from_reader(text.as_bytes());
    let mut rows: Vec<Row> = Vec::new();
    let mut record = csv::StringRecord::new();
    let mut is_first = true;
    while reader.read_record(&mut record).map_err(|error| (1, error.to_string()))? {
        let is_header = is_first && record.iter().map(str::to_ascii_lowercase).eq(["second", "rate"]);
        is_first = false;
        if !is_header {
            let row = row(&record, rows.last());
            rows.push(row.map_err(|error| (last_line(text, reader.position().byte()), error))?);
        }
    }
    let last = last_line(text, u64::MAX);
    match rows.as_slice() {
        [] | [_] => {
            Err((last, "there must be at least two lines: a rate, and a rate of 0 that ends it".to_owned()))
        }
        [.., row] if row.rate > 0.0 => {
            Err((last, "the last rate must be 0: its second is when the schedule ends".to_owned()))
        }
        _ => Ok(rows),
    }
}

fn row(record: &csv::StringRecord, before: Option<&Row>) -> Result<Row, String> {
    let [second, rate] = record.iter().collect::<Vec<_>>()[..] else {
        return Err(format!("must be a second and a rate, like 2.5,100, not {} columns", record.len()));
    };
    let (is_negative, size) = match second.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, second),
    };
    let size = read_number(size).filter(|size| *size <= HORIZON.as_secs_f64()).ok_or_else(|| {
        format!("the second {second:?} must be a number up to {}, like -2.5", HORIZON.as_secs())
    })?;
    let second = if is_negative { -size } else { size };
    if let Some(before) = before.filter(|before| before.second >= second) {
        return Err(format!("the second {second} must come after {}, the line before it", before.second));
    }
    let rate = read_number(rate)
        .filter(|rate| *rate <= RATE_MAX)
        .ok_or_else(|| format!("the rate {rate:?} must be a number from 0 to {RATE_MAX}"))?;
    Ok(Row { second, rate })
}

/// The line of the last character before this byte that is not blank; the reader counts blank lines
/// and comments before a row to the row.
fn last_line(text: &str, end: u64) -> usize {
    let end = usize::try_from(end).unwrap_or(usize::MAX).min(text.len());
    line_of(text.as_bytes()[..end].trim_ascii_end())
}

/// The line in which this text ends.
fn line_of(text: &[u8]) -> usize {
    1 + text.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
