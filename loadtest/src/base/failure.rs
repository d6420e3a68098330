//! Why a load test did not come to a verdict.

/// As it is said to the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line, a file it names or a token in it is wrong.
    #[error("{0}")]
    Usage(String),
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The gateway, its ops listener or this machine did not do its part.
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
