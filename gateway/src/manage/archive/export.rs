//! Exports a sale into a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redis::Value;

use crate::domain::rfc3339::rfc3339;
use crate::manage::admin::Admin;
use crate::manage::archive::{
    ArchiveHead, ArchiveLine, ArchiveWriter, FORMAT, VERSION, VERSION_WITH_SIGN_UPS,
};
use crate::manage::audit::queue_pages;
use crate::manage::file_error::{FileError, disk, unopened};
use crate::projection::consumer::scan;
use crate::projection::snapshot;
use crate::store::journal;
use crate::store::reply::{list_of_texts, text, texts};
use crate::store::scripts::{Failure, Refusal};

/// How many times a sale that changes during the read is retried.
const TRIES: usize = 3;
/// Journal entries in a line.
const ENTRIES: usize = 200;

/// Exports a sale at one sequence into a new file. A drifted ledger is exported too, for analysis.
///
/// # Errors
///
/// [`FileError::File`] if the file exists, or its folder does not; [`FileError::Refused`] if the sale changed during
/// every attempt. Then this leaves no file.
pub async fn export(admin: &Admin, sale: &str, path: &Path) -> Result<ArchiveHead, FileError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(unopened(path))?;
    let outcome = tries(admin, sale, path, &file).await;
    if outcome.is_err() {
        // This process made the file, and it is incomplete.
        let _ = std::fs::remove_file(path);
    }
    outcome
}

async fn tries(admin: &Admin, sale: &str, path: &Path, mut file: &File) -> Result<ArchiveHead, FileError> {
    for _ in 0..TRIES {
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(disk(path))?;
        if let Some(head) = write(admin, sale, path, file).await? {
            return Ok(head);
        }
    }
    Err(FileError::Refused(format!(
        "{sale} has changed each of {TRIES} times while it was read: close it, or pause and freeze it, and export it then"
    )))
}

/// Makes one attempt; `None` if the sale changed during it.
async fn write(
    admin: &Admin,
    sale: &str,
    path: &Path,
    file: &File,
) -> Result<Option<ArchiveHead>, FileError> {
    let audit = admin.audit(sale).await?;
    let (keys, mut conn) = admin.open(sale).await?;
    let snapshot = snapshot::read(&mut conn, &admin.scripts, &keys, true).await?;
    if !snapshot.damages.is_empty() {
        return Err(Failure::from(Refusal::Damaged(snapshot.damages.join("; "))).into());
    }
    let sequence = snapshot.header.sequence;
    if sequence != audit.sequence {
        return Ok(None);
    }
    let head = ArchiveHead {
        format: FORMAT.to_owned(),
        version: if snapshot.state.contains_key("signed_up") { VERSION_WITH_SIGN_UPS } else { VERSION },
        sale: sale.to_owned(),
        incarnation: snapshot.incarnation().to_owned(),
        exported_at: rfc3339(jiff::Timestamp::now().as_millisecond()),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        audit,
    };
    let mut out = ArchiveWriter::to(file);
    let mut put = |line: ArchiveLine| out.line(&line).map_err(disk(path));
    put(ArchiveLine::Head(Box::new(head.clone())))?;
    put(ArchiveLine::State(snapshot.state.into_iter().collect()))?;
    put(ArchiveLine::Definition(snapshot.definition))?;
    let sorted = |map: HashMap<String, String>| BTreeMap::from_iter(map).into_iter().collect();
    put(ArchiveLine::Stock(sorted(snapshot.stock)))?;
    put(ArchiveLine::Totals(sorted(snapshot.totals)))?;
    let taken = redis::cmd("SMEMBERS").arg(keys.taken()).query_async(&mut conn).await?;
    let mut taken = list_of_texts("SMEMBERS", &taken)?;
    taken.sort();
    put(ArchiveLine::Taken(taken))?;
    type Line = fn(Vec<(String, String)>) -> ArchiveLine;
    let hashes: [(&str, Line); 3] = [
        (keys.records(), ArchiveLine::Records),
        (keys.signups(), ArchiveLine::Signups),
        (keys.standby(), ArchiveLine::Standby),
    ];
    for (key, line) in hashes {
        let mut cursor = 0;
        loop {
            // A scan may return a field twice, which is harmless.
            let (next, rows) = scan(&mut conn, key, cursor).await?;
            if !rows.is_empty() {
                put(line(rows))?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    for members in queue_pages(&mut conn, &keys).await? {
        put(ArchiveLine::Queue(members))?;
    }
    let mut at = 0;
    while at < sequence {
        let values = journal::after(&mut conn, &keys, at, ENTRIES).await?;
        let entries: Option<Vec<_>> = values.iter().map(entry).collect();
        let last = entries.as_ref().and_then(|entries| entries.last()?.0.split('-').next()?.parse().ok());
        let (Some(entries), Some(last)) = (entries, last) else {
            let gap = Refusal::Damaged(format!("{} has no entry after {at}-0", keys.journal()));
            return Err(Failure::from(gap).into());
        };
        put(ArchiveLine::Journal(entries))?;
        at = last;
    }
    if snapshot::look(&mut conn, &admin.scripts, &keys).await? != (head.incarnation.clone(), sequence) {
        return Ok(None);
    }
    out.end().map_err(disk(path))?;
    Ok(Some(head))
}

/// An entry's id, and its fields and values in turn.
fn entry(value: &Value) -> Option<(String, Vec<String>)> {
    let Value::Array(pair) = value else { return None };
    Some((text(pair.first()?)?, texts(pair.get(1)?)?))
}
