//! Makes a read model of a snapshot: of one with many stores in another thread, since their index takes long.

use std::sync::Arc;

use tokio::task::{JoinHandle, spawn_blocking};

use crate::domain::catalogue::Catalogue;
use crate::projection::read_model::ReadModel;
use crate::projection::snapshot::Snapshot;
use crate::store::keys::Keys;
use crate::store::scripts::{Failure, Refusal};

/// Bytes of a definition that is indexed at once: some thousand stores, in a few milliseconds.
const AT_ONCE_MAX: usize = 512 * 1024;

/// A read model that is being made.
pub(crate) struct Preparation {
    pub(crate) incarnation: String,
    pub(crate) sequence: u64,
    made: Made,
}

enum Made {
    Ready(Box<Result<ReadModel, Failure>>),
    /// With the key of the definition.
    Apart(JoinHandle<Result<ReadModel, Failure>>, String),
}

impl Preparation {
    /// Begins, with the catalogue of an earlier revision.
    pub(crate) fn start(snapshot: Snapshot, keys: &Keys, before: Option<Arc<Catalogue>>) -> Self {
        let (incarnation, sequence) = (snapshot.incarnation().to_owned(), snapshot.header.sequence);
        let made = if snapshot.definition.len() <= AT_ONCE_MAX {
            Made::Ready(Box::new(snapshot.into_read_model(keys, before.as_deref())))
        } else {
            let (definition, keys) = (keys.definition().to_owned(), keys.clone());
            let make = move || snapshot.into_read_model(&keys, before.as_deref());
            Made::Apart(spawn_blocking(make), definition)
        };
        Self { incarnation, sequence, made }
    }

    /// Whether [`Self::finish`] returns at once.
    pub(crate) fn is_finished(&self) -> bool {
        match &self.made {
            Made::Ready(_) => true,
            Made::Apart(task, _) => task.is_finished(),
        }
    }

    pub(crate) async fn finish(self) -> Result<ReadModel, Failure> {
        match self.made {
            Made::Ready(read_model) => *read_model,
            Made::Apart(task, definition) => task.await.unwrap_or_else(|error| {
                Err(Refusal::Damaged(format!("{definition} can't be indexed: {error}")).into())
            }),
        }
    }
}
