//! Removes a sale permanently, if an export of its last state exists. A note with operator and
//! reason remains.

use std::path::Path;

use serde_json::json;

use crate::domain::rfc3339::rfc3339;
use crate::manage::admin::{Actor, Admin, run};
use crate::manage::archive::verify;
use crate::manage::audit::AuditVerdict;
use crate::manage::file_error::FileError;
use crate::store::Pool;
use crate::store::keys::{Keys, PURGED, SALES};
use crate::store::scripts::{Failure, Script, text};

/// The effect of a purge.
pub const PURGE_EFFECT: &str = "Every reservation, the journal and all ids of buyers of this sale are \
    removed from Redis permanently: only the export keeps them. Apps get the response that the sale does \
    not exist.";

/// Removes a closed sale whose last change this export file contains.
///
/// # Errors
///
/// [`FileError::Refused`] with what to do first; nothing is removed then.
pub async fn purge(admin: &Admin, sale: &str, export: &Path, by: &Actor) -> Result<(), FileError> {
    let head = verify(export)?;
    if head.sale != sale {
        let listed = format!("{} is an export of {}, not of {sale}", export.display(), head.sale);
        return Err(FileError::Refused(listed));
    }
    let (incarnation, _) = admin.look(sale).await?;
    if incarnation != head.incarnation {
        return Err(FileError::Refused(format!(
            "{} is not an export of the current sale {sale}, but of another one of that name: export it \
                again, and purge it with the new file",
            export.display()
        )));
    }
    let audit = admin.audit(sale).await?;
    if audit != head.audit {
        return Err(changed(sale, audit.sequence, head.audit.sequence));
    }
    if audit.verdict == AuditVerdict::Drift {
        return Err(FileError::Refused(format!(
            "the ledger of {sale} drifts ({}): an operator must resolve the drift before a purge",
            audit.first_problem().unwrap_or_default()
        )));
    }
    // First: a gateway that misses the sale must find that it was purged, not lost.
    let note = json!({
        "at": rfc3339(jiff::Timestamp::now().as_millisecond()), "who": by.who, "reason": by.reason, "sequence": audit.sequence,
        "incarnation": incarnation,
    });
    let pool = admin.pool();
    run::<i64>(pool, PURGED, redis::cmd("HSET").arg(PURGED).arg(sale).arg(note.to_string())).await?;
    run::<i64>(pool, SALES, redis::cmd("SREM").arg(SALES).arg(sale)).await?;
    let purged = admin.call(Script::Purge, sale, &incarnation, [audit.sequence.to_string()], None).await;
    let why_not = match purged {
        Ok(reply) => match reply.first().and_then(text).as_deref() {
            Some("ok") => {
                // Recovery reports contain buyers' names, too. The readers' cursors end with the sale.
                let keys = Keys::of(sale);
                let rest = [keys.recovery(), keys.readers()];
                return Ok(run(pool, keys.recovery(), redis::cmd("UNLINK").arg(&rest)).await?);
            }
            Some("held") => FileError::Refused(format!(
                "{} holds of {sale} are outstanding: wait until they are paid or have expired, and export it again",
                reply.get(1).and_then(text).unwrap_or_default()
            )),
            Some("open") => FileError::Refused(format!("{sale} is not closed: gateway sale close {sale}")),
            _ => changed(sale, audit.sequence + 1, head.audit.sequence),
        },
        // The outcome is unknown: a retry finds it.
        Err(unknown @ Failure::Unknown(_)) => return Err(unknown.into()),
        Err(failure) => failure.into(),
    };
    list(pool, sale).await?;
    forget_purge(pool, sale).await?;
    Err(why_not)
}

fn changed(sale: &str, now: u64, then: u64) -> FileError {
    FileError::Refused(format!(
        "{sale} is at sequence {now} by now, and its export at {then}: export it again, and purge it with \
            the new file"
    ))
}

/// Whether a missing sale of this incarnation was purged.
pub async fn is_purged(pool: &Pool, sale: &str, incarnation: &str) -> Result<bool, Failure> {
    Ok(purged(pool, sale).await?.is_some_and(|purged| purged.is_none_or(|purged| purged == incarnation)))
}

/// Lists a sale for gateways, and removes the note of a purge of another sale of that name.
pub(crate) async fn announce(pool: &Pool, sale: &str, incarnation: &str) -> Result<(), Failure> {
    if purged(pool, sale).await?.is_some_and(|purged| purged.as_deref() != Some(incarnation)) {
        forget_purge(pool, sale).await?;
    }
    list(pool, sale).await
}

/// The incarnation of a purged sale; `Some(None)` if an earlier version noted none.
async fn purged(pool: &Pool, sale: &str) -> Result<Option<Option<String>>, Failure> {
    let note: Option<String> = run(pool, PURGED, redis::cmd("HGET").arg(PURGED).arg(sale)).await?;
    let incarnation = |note: String| {
        let note: serde_json::Value = serde_json::from_str(&note).unwrap_or_default();
        note["incarnation"].as_str().map(str::to_owned)
    };
    Ok(note.map(incarnation))
}

async fn forget_purge(pool: &Pool, sale: &str) -> Result<(), Failure> {
    run::<i64>(pool, PURGED, redis::cmd("HDEL").arg(PURGED).arg(sale)).await.map(drop)
}

/// Adds the sale to the list that gateways read.
async fn list(pool: &Pool, sale: &str) -> Result<(), Failure> {
    run::<i64>(pool, SALES, redis::cmd("SADD").arg(SALES).arg(sale)).await.map(drop)
}
