//! The failures of commands that write or read a file of a sale: an archive, or what is published of a draw.

use std::io;
use std::path::Path;

use crate::store::scripts::Failure;

/// Why a file of a sale was not written or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The ledger, or the connection to it, failed.
    #[error("{0}")]
    Ledger(#[from] Failure),
    /// The file is not a valid one.
    #[error("{0}")]
    File(String),
    /// The file could not be read or written.
    #[error("{0}")]
    Disk(String),
    /// The operation is not allowed, for this reason.
    #[error("{0}")]
    Refused(String),
}

impl From<redis::RedisError> for FileError {
    fn from(error: redis::RedisError) -> Self {
        Self::Ledger(error.into())
    }
}

pub(crate) fn disk(path: &Path) -> impl Fn(io::Error) -> FileError {
    move |error| FileError::Disk(format!("{}: {error}", path.display()))
}

/// A name that the caller gave wrongly is wrong input; the rest is the disk's.
pub(crate) fn unopened(path: &Path) -> impl Fn(io::Error) -> FileError {
    move |error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let name = path.display();
            FileError::File(format!("{name} exists, and an export overwrites no file: choose another name"))
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            FileError::File(format!("{}: {error}", path.display()))
        }
        _ => disk(path)(error),
    }
}
