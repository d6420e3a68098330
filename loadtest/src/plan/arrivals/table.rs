//! The file of a schedule: lines of `second,rate`. From its second on a rate holds until the next line's.

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

/// Reads the file. Its first mistake is told with its line.
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

/// The line of the last character that is not blank before this byte: the reader itself gives a row the line of the blank
/// lines and comments before it.
fn last_line(text: &str, end: u64) -> usize {
    let end = usize::try_from(end).unwrap_or(usize::MAX).min(text.len());
    line_of(text.as_bytes()[..end].trim_ascii_end())
}

/// The line in which this text ends.
fn line_of(text: &[u8]) -> usize {
    1 + text.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (usize, String) {
        rows(text).unwrap_err()
    }

    #[test]
    fn rows_are_read_between_comments_and_blanks() {
        let read =
            rows("\u{feff}Second, Rate\r\n# the first come early\n-2.5, 100\n\n0,0.5\r\n10,0").unwrap();
        let expected = [(-2.5, 100.0), (0.0, 0.5), (10.0, 0.0)];
        assert_eq!(read, expected.map(|(second, rate)| Row { second, rate }));
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (text, line, part) in [
            ("second,rate\n# comment\n\n0,1e3\n1,0\n", 4, "the rate \"1e3\""),
            ("0,1\n\n# comment\r\nsoon,1\r\n2,0", 4, "the second \"soon\""),
            ("0,1\n1,2,3\n2,0", 2, "not 3 columns"),
            ("0,1\n5,2\n5,0", 3, "must come after 5"),
            ("0,1\n\"1\",2\n2,0", 2, "the second \"\\\"1\\\"\""),
            ("0,1000001\n2,0", 1, "from 0 to 1000000"),
            ("0,-1\n2,0", 1, "the rate \"-1\""),
            ("0,nan\n2,0", 1, "the rate \"nan\""),
            ("99999999999,1\n2,0", 1, "up to 86400000"),
            ("0,1\n5,2\n\n", 2, "the last rate must be 0"),
            ("0,0\n", 1, "at least two lines"),
            ("", 1, "at least two lines"),
        ] {
            let (at, error) = wrong(text);
            assert!(at == line && error.contains(part), "{text:?}: {at}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_no_table_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            read(path.to_str().unwrap())
        };
        assert!(
            file("big", &vec![b'\n'; BYTES_MAX as usize + 1])
                .unwrap_err()
                .contains("more than 1048576 bytes")
        );
        assert!(
            file("long", &vec![b'\n'; LINES_MAX + 1]).unwrap_err().contains("long:100001: has more than")
        );
        assert!(file("latin", b"0,1\n# \xe9\n1,0").unwrap_err().contains("latin:2: is not UTF-8"));
        assert!(file("full", &b"#\n".repeat(LINES_MAX - 2)[..]).unwrap_err().contains("at least two lines"));
        assert!(read("/nowhere/at-all").unwrap_err().contains("can't be read"));
        assert!(read("").is_err());
    }
}
