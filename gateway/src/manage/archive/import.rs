//! Imports a sale into a Redis without a sale of this name: atomically, or not at all.

use std::path::Path;
use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Pipeline, Script, Value};

use crate::manage::admin::Admin;
use crate::manage::archive::purge::announce;
use crate::manage::archive::{ArchiveHead, ArchiveLine, ArchiveReader, verify};
use crate::manage::file_error::FileError;
use crate::projection::read_model::{INCARNATION, new_incarnation};
use crate::store::dial::read_run_id;
use crate::store::keys::Keys;
use crate::store::reply::{shape, texts, unreadable};

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("../../store/lua/import.lua")));

/// Imports a sale, and checks that its audit equals that of the export.
///
/// # Errors
///
/// [`FileError::Refused`] if the sale exists, or if the audit differs; nothing is left then.
pub async fn import(admin: &Admin, path: &Path) -> Result<ArchiveHead, FileError> {
    let head = verify(path)?;
    let (keys, mut conn) = admin.open(&head.sale).await?;
    let staged = Keys::staged(&head.sale);
    let there: u64 = redis::cmd("EXISTS").arg(keys.all()).query_async(&mut conn).await?;
    if there > 0 {
        return Err(is_there(&head.sale));
    }
    // An interrupted import may have left these.
    unlink(&mut conn, &staged).await?;
    // A previous sale of this name, and cached state of it, is another sale.
    let incarnation = new_incarnation(&mut conn).await?;
    if let Err(trouble) = load(&mut conn, path, &staged, &incarnation).await {
        unlink(&mut conn, &staged).await?;
        return Err(trouble);
    }
    let taken: Value = TAKE.key(staged.all()).key(keys.all()).invoke_async(&mut conn).await?;
    let word = texts(&taken).and_then(|words| words.into_iter().next());
    if word.as_deref() != Some("ok") {
        unlink(&mut conn, &staged).await?;
        return Err(match word.as_deref() {
            Some("exists") => is_there(&head.sale),
            _ => unreadable("the import script", "ok or exists", &shape(&taken)).into(),
        });
    }
    // No gateway follows it yet. The audit needs a connection, and the pool may have only one.
    drop(conn);
    let audit = admin.audit(&head.sale).await?;
    if audit != head.audit {
        unlink(&mut admin.open(&head.sale).await?.1, &keys).await?;
        let why = audit.first_problem().unwrap_or_else(|| "its figures differ".to_owned());
        return Err(FileError::Refused(format!(
            "the audit of the import differs from that of the export: {why}. The import was removed"
        )));
    }
    announce(admin.pool(), &head.sale, &incarnation).await?;
    Ok(head)
}

fn is_there(sale: &str) -> FileError {
    FileError::Refused(format!("this Redis has a sale {sale} already: nothing was imported"))
}

async fn unlink(conn: &mut impl ConnectionLike, keys: &Keys) -> redis::RedisResult<()> {
    redis::cmd("UNLINK").arg(keys.all()).query_async::<i64>(conn).await.map(drop)
}

/// Writes every line to its key.
async fn load(
    conn: &mut impl ConnectionLike,
    path: &Path,
    to: &Keys,
    incarnation: &str,
) -> Result<(), FileError> {
    // This Redis serves it from now on.
    let epoch = read_run_id(conn).await?;
    let (mut reader, _) = ArchiveReader::open(path)?;
    while let Some(line) = reader.next()? {
        let mut pipe = redis::pipe();
        commands(&mut pipe, line, to, [("epoch", &epoch), (INCARNATION, incarnation)]);
        if !pipe.is_empty() {
            pipe.query_async::<Value>(conn).await?;
        }
    }
    Ok(())
}

/// Adds the commands for a line; `anew` overrides fields of the state.
fn commands(pipe: &mut Pipeline, line: ArchiveLine, to: &Keys, anew: [(&str, &str); 2]) {
    fn pairs(pipe: &mut Pipeline, key: &str, pairs: impl IntoIterator<Item = (String, String)>) {
        pairs.into_iter().for_each(|(field, value)| {
            pipe.cmd("HSET").arg(key).arg(field).arg(value);
        });
    }
    match line {
        ArchiveLine::State(mut fields) => {
            fields.extend(anew.map(|(field, value)| (field.to_owned(), value.to_owned())));
            pairs(pipe, to.state(), fields);
        }
        ArchiveLine::Definition(json) => {
            pipe.cmd("SET").arg(to.definition()).arg(json);
        }
        ArchiveLine::Stock(items) => pairs(pipe, to.stock(), items),
        ArchiveLine::Totals(items) => pairs(pipe, to.totals(), items),
        ArchiveLine::Records(rows) => pairs(pipe, to.records(), rows),
        ArchiveLine::Signups(rows) => pairs(pipe, to.signups(), rows),
        ArchiveLine::Standby(rows) => pairs(pipe, to.standby(), rows),
        ArchiveLine::Queue(members) => members.into_iter().for_each(|member| {
            pipe.cmd("ZADD").arg(to.queue()).arg(0).arg(member);
        }),
        ArchiveLine::Taken(items) => items.into_iter().for_each(|item| {
            pipe.cmd("SADD").arg(to.taken()).arg(item);
        }),
        ArchiveLine::Journal(entries) => entries.into_iter().for_each(|(id, fields)| {
            pipe.cmd("XADD").arg(to.journal()).arg(id).arg(fields);
        }),
        ArchiveLine::Head(_) | ArchiveLine::End { .. } => {}
    }
}
