//! How a program of the kit ends: its failures, its exit code, the lines that it prints.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// Why a program has not come to a good end.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// A check failed: a wrong answer, a ledger that does not balance.
    #[error("{0}")]
    Wrong(String),
    /// What the command line names can't be used.
    #[error("{0}")]
    Usage(String),
    /// A program or this machine did not do its part.
    #[error("{0}")]
    Outside(String),
}

impl Failed {
    /// For `map_err`: what was tried, and why it failed.
    pub fn to<E: Display>(what: &str) -> impl FnOnce(E) -> Self {
        let what = format!("can't {what}");
        move |error| Self::Outside(format!("{what}: {error}"))
    }

    /// The same with what was being done.
    pub fn during(self, what: impl Display) -> Self {
        match self {
            Self::Wrong(text) => Self::Wrong(format!("{what}: {text}")),
            Self::Usage(text) => Self::Usage(format!("{what}: {text}")),
            Self::Outside(text) => Self::Outside(format!("{what}: {text}")),
        }
    }
}

/// The exit code of a program; a failure is printed behind this prefix.
pub fn exit(prefix: &str, ended: Result<u8, Failed>) -> ExitCode {
    let failed = match ended {
        Ok(code) => return ExitCode::from(code),
        Err(failed) => failed,
    };
    let _ = writeln!(std::io::stderr().lock(), "{prefix}{failed}");
    ExitCode::from(match failed {
        Failed::Wrong(_) => 1,
        Failed::Usage(_) => 2,
        Failed::Outside(_) => 3,
    })
}

/// Prints a line. A reader that has gone away ends nothing.
pub fn print_line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}
