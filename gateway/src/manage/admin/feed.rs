//! The journal for readers: pages of lines, each line of a change that is protected and belongs to the reader's history.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::domain::catalogue::Catalogue;
use crate::manage::admin::Admin;
use crate::projection::snapshot;
use crate::store::journal::{self, Cursor, LedgerHead, Trail};
use crate::store::keys::Keys;
use crate::store::scripts::{Failure, Refusal};
use crate::store::{Connection, checkout};

/// What a reader gets.
#[derive(Debug)]
pub enum JournalRead {
    /// The lines after the cursor.
    Page(JournalPage),
    /// The cursor's history is not the ledger's. This is the last cursor that they have in common.
    Forked(Cursor),
}

/// Lines of the journal.
#[derive(Debug)]
pub struct JournalPage {
    /// Each change with the cursor after it.
    pub lines: Vec<(Cursor, serde_json::Value)>,
    /// The ledger's latest change.
    pub sequence: u64,
    /// Whether there are changes that this page lacks, because they are not protected yet.
    pub has_unprotected: bool,
    /// Whether the sale is fenced: recovery may append to what is read.
    pub is_fenced: bool,
}

/// Whether a fenced sale may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// No: its journal may lack what recovery replays, and a reader would take that for a fork.
    Respect,
    /// Yes: the reader knows that it may change.
    Ignore,
}

/// The definition that the latest prices came from, of a sale that this process does not follow.
#[derive(Debug, Default, Clone)]
pub(super) struct PricedBy(Arc<Mutex<Option<KnownCatalogue>>>);

#[derive(Debug)]
struct KnownCatalogue {
    incarnation: String,
    catalogue: Arc<Catalogue>,
}

impl Admin {
    /// The journal's lines after a cursor, from up to `entries` entries.
    pub async fn journal(
        &self,
        sale: &str,
        cursor: Cursor,
        entries: usize,
        fence: Fence,
    ) -> Result<JournalRead, Failure> {
        let keys = Keys::of(sale);
        let mut conn = checkout(self.pool(), keys.journal()).await?;
        let raw = journal::read_page(&mut conn, &keys, &cursor, entries).await?;
        if raw.is_fenced && fence == Fence::Respect {
            return Err(Refusal::Epoch(raw.head.epoch).into());
        }
        if raw.is_forked_from(&cursor) {
            return Ok(JournalRead::Forked(journal::last_common(&mut conn, &keys, &cursor).await?));
        }
        let read = raw.parse(&keys, &cursor)?;
        let LedgerHead { incarnation, sequence, revision, .. } = &raw.head;
        let catalogue = self.catalogue(&mut conn, &keys, sale, incarnation, *revision).await?;
        let (mut lines, mut trail) = (Vec::new(), Trail::of(&cursor));
        for entry in &read {
            let Some(changes) = entry.lines(&catalogue, &mut trail) else {
                if lines.is_empty() {
                    return Err(journal::unreadable_entry(&keys, &format!("{}-0", entry.sequence)));
                }
                break;
            };
            lines.extend(changes.into_iter().filter(|(at, _)| at.is_after(&cursor)));
        }
        // Redis flushes its append-only file, and with `appendfsync always` syncs it, before it sends replies: what a read
        // saw has the levels `aof` and `fsync`. Replicas have to be waited for, over the same connection.
        let needs_replicas = !lines.is_empty() && !raw.is_fenced;
        let has_unprotected =
            needs_replicas && !self.scripts.wait_for_earlier_writes(&mut conn, &keys).await?;
        if has_unprotected {
            lines.clear();
        }
        let (sequence, is_fenced) = (*sequence, raw.is_fenced);
        Ok(JournalRead::Page(JournalPage { lines, sequence, has_unprotected, is_fenced }))
    }

    /// A definition of this incarnation with at least this revision.
    pub(super) async fn catalogue(
        &self,
        conn: &mut Connection,
        keys: &Keys,
        sale: &str,
        incarnation: &str,
        revision: u64,
    ) -> Result<Arc<Catalogue>, Failure> {
        if let Some(followed) = self.sales.get(sale).filter(|known| known.incarnation() == incarnation) {
            let catalogue = followed.read_model().catalogue.clone();
            if catalogue.revision >= revision {
                return Ok(catalogue);
            }
        }
        let mut cached = self.priced_by.0.lock().await;
        if let Some(known) = &*cached
            && known.incarnation == incarnation
            && known.catalogue.revision >= revision
        {
            return Ok(known.catalogue.clone());
        }
        let snapshot = snapshot::read(conn, &self.scripts, keys, true).await?;
        // A ledger of the first format stores none.
        let snapshot =
            if incarnation.is_empty() { snapshot } else { snapshot.of_incarnation(incarnation)? };
        let revision = snapshot.number("revision").unsigned_abs();
        let catalogue = Arc::new(Catalogue::new(snapshot.parse_definition(keys)?, revision));
        let incarnation = snapshot.incarnation().to_owned();
        *cached = Some(KnownCatalogue { incarnation, catalogue: catalogue.clone() });
        Ok(catalogue)
    }
}
