//! Opens the outbox in its folder, locks it, and lets async code use it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};

use crate::failure::Failure;
use crate::sink::SinkError;
use crate::webhook::outbox::{DELIVERED_KEPT, OutboxError, WAITING_MAX};

const FILE: &str = "outbox.sqlite";
const LOCK: &str = "lock";
/// Another process writes for a few ms only.
const BUSY_MAX: Duration = Duration::from_secs(10);
/// What this program writes and reads. A change of the schema raises it and migrates.
const VERSION: i64 = 2;
/// From each version to the next one. The first has a count of forks, which ended the ids of webhooks. What it has stored
/// keeps its id: it may have been sent.
const MIGRATIONS: [&str; 1] = ["ALTER TABLE progress DROP COLUMN generation"];

/// `fence` is as the feed left it. A queue is what waits of one reservation, and
/// `head` its first webhook. Webhooks without a cursor take a change back. Positions are never used again, because
/// answers arrive after rows have gone.
const SCHEMA: &str = "
    CREATE TABLE progress (
        sale TEXT NOT NULL, reader TEXT NOT NULL, cursor TEXT,
        fence INTEGER NOT NULL DEFAULT 0, gone_url TEXT
    );
    CREATE TABLE webhooks (
        position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, reservation TEXT NOT NULL,
        cursor TEXT, sequence INTEGER, place INTEGER, at TEXT NOT NULL, body TEXT NOT NULL,
        delivered INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX waiting ON webhooks (reservation, position) WHERE delivered = 0;
    CREATE INDEX changes ON webhooks (sequence, place);
    CREATE TABLE queues (
        reservation TEXT PRIMARY KEY, head INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        due INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0, error TEXT, failing_since INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX fresh ON queues (head) WHERE attempts = 0;
    CREATE INDEX failed ON queues (due) WHERE attempts > 0;
";

/// The outbox of one sale and reader.
#[derive(Debug)]
pub struct Outbox {
    pub(super) connection: Connection,
    pub(super) sale: String,
    pub(super) waiting: u64,
    pub(super) waiting_max: u64,
    pub(super) delivered: u64,
    pub(super) delivered_kept: u64,
    /// The relay's; commands for operators have none.
    _lock: Option<File>,
}

/// An outbox that several tasks use. What it does blocks on the disk, so it is done elsewhere.
#[derive(Clone, Debug)]
pub struct SharedOutbox(Arc<Mutex<Outbox>>);

impl SharedOutbox {
    /// Shares it.
    pub fn new(outbox: Outbox) -> Self {
        Self(Arc::new(Mutex::new(outbox)))
    }

    /// Does something with it, off the runtime's threads.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Outbox) -> Result<T, OutboxError> + Send + 'static,
    ) -> Result<T, SinkError> {
        let outbox = self.0.clone();
        let work = move || work(&mut outbox.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|ended| Err(ended.into())).map_err(OutboxError::into_sink_error)
    }
}

pub(super) fn open(folder: &Path, sale: &str, reader: &str) -> Result<Outbox, Failure> {
    let failed = failure_in(folder);
    // Only the relay's user may read what buyers chose.
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| failed(&error))?;
    let lock = lock(folder)?;
    let path = folder.join(FILE);
    let connection = Connection::open(&path).map_err(|error| failed(&error))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(|error| failed(&error))?;
    let mut outbox = with_connection(connection, Some(lock), folder)?;
    set_up(&mut outbox.connection, sale, reader).map_err(|error| failed(&error))?;
    let owner: (String, String) = outbox
        .connection
        .query_row("SELECT sale, reader FROM progress", (), |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(|error| failed(&error))?;
    if owner != (sale.to_owned(), reader.to_owned()) {
        return Err(Failure::Usage(format!(
            "--state-dir {}: it belongs to sale {:?} and --name {:?}, not to {sale:?} and {reader:?}; name another \
             folder",
            folder.display(),
            owner.0,
            owner.1
        )));
    }
    sale.clone_into(&mut outbox.sale);
    outbox.count().map_err(|error| Failure::Outside(error.to_string()))?;
    Ok(outbox)
}

/// For commands that look at it, or change it, while a relay may run.
pub(super) fn open_beside(folder: &Path) -> Result<Outbox, Failure> {
    let path: PathBuf = folder.join(FILE);
    if !path.is_file() {
        return Err(Failure::Usage(format!(
            "--state-dir {}: there is no outbox; expected the folder of a relay that sends webhooks",
            folder.display()
        )));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failure_in(folder)(&error))?;
    with_connection(connection, None, folder)
}

fn with_connection(mut connection: Connection, lock: Option<File>, folder: &Path) -> Result<Outbox, Failure> {
    let failed = failure_in(folder);
    // One that reads first and writes later would fail when another process has written between.
    connection.set_transaction_behavior(TransactionBehavior::Immediate);
    let version: i64 = (|| {
        connection.busy_timeout(BUSY_MAX)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A page that was acknowledged survives a power failure.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_query_value(None, "user_version", |row| row.get(0))
    })()
    .map_err(|error: rusqlite::Error| failed(&error))?;
    if version > VERSION {
        return Err(Failure::Usage(format!(
            "--state-dir {}: a newer relay wrote it (version {version}); this one knows version {VERSION}. Use the \
             newer relay",
            folder.display()
        )));
    }
    Ok(Outbox {
        connection,
        sale: String::new(),
        waiting: 0,
        waiting_max: WAITING_MAX,
        delivered: 0,
        delivered_kept: DELIVERED_KEPT,
        _lock: lock,
    })
}

/// Makes the tables of an empty file, and moves those of an earlier version to this one.
fn set_up(connection: &mut Connection, sale: &str, reader: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let sql = "SELECT 1 FROM sqlite_schema WHERE name = 'progress'";
    if transaction.query_row(sql, (), |_| Ok(())).optional()?.is_none() {
        transaction.execute_batch(SCHEMA)?;
        transaction.execute("INSERT INTO progress (sale, reader) VALUES (?, ?)", params![sale, reader])?;
    } else {
        let version: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        for (_, sql) in (1..).zip(MIGRATIONS).filter(|(from, _)| *from >= version) {
            transaction.execute_batch(sql)?;
        }
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(|error| failure_in(folder)(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::Usage(format!(
            "--state-dir {}: another relay uses it; end that one, or name another folder (and another --name)",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failure_in(folder)(&error)),
    }
}

fn failure_in(folder: &Path) -> impl Fn(&dyn std::error::Error) -> Failure {
    move |error| {
        Failure::Outside(format!(
            "--state-dir {}: {error}; check that this user may write there",
            folder.display()
        ))
    }
}
