//! The output of commands, and their exit codes.

use std::io::{self, Write};

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
    /// 141: the reader of standard output has gone, as with `head`. Quiet: that is not a failure.
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

/// Errors of writing to standard output.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Outside(error.to_string()),
        }
    }
}

/// Prints to standard output.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).map_err(|e| CommandError::Outside(e.to_string()))?;
    print(&format!("{text}\n"))
}
