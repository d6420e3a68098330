//! Defines why the program ends before its work is done.

use crate::trust::TrustError;

/// Why the program ends, as the operator reads it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The answer is no: what was delivered can't be taken back.
    #[error("{0}")]
    No(String),
    /// The command line, a file that it names, or a token in it is wrong.
    #[error("{0}")]
    Usage(String),
    /// The gateway, the sink or this machine failed in a way that trying again does not repair.
    #[error("{0}")]
    Outside(String),
}

impl Failure {
    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::No(_) => 1,
            Self::Usage(_) => 2,
            Self::Outside(_) => 3,
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::Outside(_) => Self::Outside(error.to_string()),
            TrustError::Unread { .. } | TrustError::Empty(_) => Self::Usage(error.to_string()),
        }
    }
}

/// An error with its causes: "error sending request" alone does not help.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in their own text.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
