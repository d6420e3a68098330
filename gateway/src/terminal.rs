//! The output of commands, their times, and their exit codes.

use std::io::{self, BufWriter, Write};

use jiff::tz::{Offset, TimeZone};

use crate::domain::rfc3339::rfc3339;
use crate::store::scripts::{Failure, Refusal};

/// The failure of a command, by its exit code.
#[derive(Debug)]
pub enum CommandError {
    /// 1: the answer is no.
    No(String),
    /// 2: wrong usage or bad input.
    Usage(String),
    /// 3: something outside failed.
    Outside(String),
    /// 0: the reader of standard output has gone, as with `head`. Quiet: it has what it wanted.
    ReaderGone,
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal::Missing) => {
                Self::Usage("there is no such sale; `gateway sale list` lists all sales".into())
            }
            Failure::Refused(Refusal::Epoch(_)) => Self::Outside(format!(
                "{failure}. A running gateway adopts the new epoch once its audit is balanced"
            )),
            other => Self::Outside(other.to_string()),
        }
    }
}

/// Every problem of the options, or of a file.
impl From<Vec<String>> for CommandError {
    fn from(problems: Vec<String>) -> Self {
        Self::Usage(problems.join("\n"))
    }
}

/// Errors of this machine, and of a dialogue: a question without a reader is no success.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::Outside(error.to_string())
    }
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    print_all([Ok(text)])
}

/// Prints texts to standard output as they are made, up to the first error.
pub(crate) fn print_all<T: AsRef<str>>(
    texts: impl IntoIterator<Item = Result<T, CommandError>>,
) -> Result<(), CommandError> {
    let mut out = BufWriter::new(io::stdout().lock());
    for text in texts {
        out.write_all(text?.as_ref().as_bytes()).map_err(unwritten)?;
    }
    out.flush().map_err(unwritten)
}

fn unwritten(error: io::Error) -> CommandError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => CommandError::ReaderGone,
        _ => error.into(),
    }
}

pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| CommandError::Outside(e.to_string()))?;
    print(&format!("{text}\n"))
}

/// An instant in ms: UTC, and in parentheses the time here where that differs.
pub(crate) fn time_text(ms: i64) -> String {
    time_in(ms, TimeZone::system())
}

fn time_in(ms: i64, zone: TimeZone) -> String {
    let utc = rfc3339(ms);
    let here = jiff::Timestamp::from_millisecond(ms).map(|at| at.to_zoned(zone));
    match here {
        Ok(here) if here.offset() != Offset::UTC => {
            format!("{utc} ({})", here.strftime("%Y-%m-%d %H:%M:%S %:z"))
        }
        _ => utc,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
