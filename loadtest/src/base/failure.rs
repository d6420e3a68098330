//! Defines why a load test ends without a verdict.

/// Why a load test ends without a verdict, as the user reads it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, a file it names or a token in it is wrong.
    #[error("{0}")]
    Usage(String),
    /// The named sale, file or directory does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The gateway, its ops listener or this machine failed.
    #[error("{0}")]
    Outside(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::NotFound(_) => 2,
            Failure::Outside(_) => 3,
        }
    }
}
