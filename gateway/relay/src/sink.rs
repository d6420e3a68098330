//! What the relay asks of the place to which it delivers.

use crate::change::{Change, Page};
use crate::failure::Failure;

/// Where changes go. A process has one. What it gets in [`Sink::deliver`] is in order and without gaps, but for
/// what filters hold back.
#[allow(async_fn_in_trait, reason = "the one task that delivers calls it; no future has to be `Send`")]
pub trait Sink {
    /// The cursor to go on from; `None`: from the start. Called after each error, too: what an interrupted call
    /// has stored is known only afterwards.
    async fn position(&mut self) -> Result<Option<String>, SinkError>;

    /// Stores a page and its cursor in one transaction. Everything is durable when it returns. A fence lower than
    /// the stored one is [`SinkError::Superseded`].
    async fn deliver(&mut self, page: &Page, fence: u64) -> Result<(), SinkError>;

    /// After a fork: the index of the last of these changes of the new history that it has delivered, and not taken
    /// back: a change with the same cursor is the same change, and so is all before it. What filters hold back is
    /// among these changes. What is not looked up is delivered again.
    async fn last_known(&mut self, changes: &[Change]) -> Result<Option<usize>, SinkError> {
        let _ = changes;
        Ok(None)
    }

    /// After a fork: takes back everything after this cursor, delivers it as `rescinded`, and goes on from there.
    async fn rescind(&mut self, common: &str, fence: u64) -> Result<(), SinkError>;

    /// Waits until everything that it has stored is with its receiver: for `--until-caught-up`.
    async fn settle(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Finishes what is under way: the program ends.
    async fn close(&mut self) {}
}

/// Why a sink did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// It may work later. The relay tries for ever, with backoff and jitter.
    #[error("{0}")]
    Transient(String),
    /// The sink has a greater fence: another relay has the lease.
    #[error(
        "another relay took over: this one had lost its lease and must not deliver any more; start it again, and it waits for its turn"
    )]
    Superseded,
    /// The reader has gone away, as with `| head`: that is not a failure.
    #[error("the reader has gone away")]
    ReaderGone,
    /// It will not work later, either.
    #[error("{0}")]
    Fatal(#[from] Failure),
}
