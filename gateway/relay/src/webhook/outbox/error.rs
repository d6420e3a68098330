//! Why the outbox did not do it, and what that means for the relay.

use crate::failure::Failure;
use crate::sink::SinkError;

/// Why the outbox did not do it.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// SQLite did not, or the disk.
    #[error("the outbox in --state-dir: {0}")]
    Database(#[from] rusqlite::Error),
    /// There is no room for a page.
    #[error(
        "{waiting} webhooks are not delivered yet, and the outbox takes {max} at most: the feed waits until the \
         receiver has taken some"
    )]
    Full {
        /// So many wait.
        waiting: u64,
        /// So many may wait.
        max: u64,
    },
    /// The fence is lower than the stored one.
    #[error("another relay took over")]
    Superseded,
    /// The feed's cursor can't be read.
    #[error("{0}")]
    Cursor(#[from] Failure),
    /// The task that asked for it was ended.
    #[error("the outbox: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

impl OutboxError {
    /// What it means for the relay.
    pub(crate) fn into_sink_error(self) -> SinkError {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let text = self.to_string();
        match self {
            Self::Superseded => SinkError::Superseded,
            Self::Cursor(failure) => SinkError::Fatal(failure),
            Self::Database(error)
                if matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase)) =>
            {
                SinkError::Fatal(Failure::Outside(format!(
                    "{text}; keep the folder for an examination, and start with an empty one: all webhooks are sent \
                     again"
                )))
            }
            Self::Database(_) | Self::Full { .. } | Self::Ended(_) => SinkError::Transient(text),
        }
    }
}
