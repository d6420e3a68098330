//! What the ledger has of each sale, and its audit.

use crate::doctor::sale::{Applied, SaleFacts};
use crate::domain::definition::Definition;
use crate::ledger::admin::Admin;
use crate::ledger::audit;
use crate::ledger::scripts::{Failure, Refusal};

/// Where and when it is looked.
pub(in crate::doctor) struct Look<'a> {
    pub(in crate::doctor) admin: &'a Admin,
    /// Of the Redis process that runs now.
    pub(in crate::doctor) run_id: &'a str,
    /// Its clock, in ms.
    pub(in crate::doctor) now_ms: i64,
    /// Whether any gateway lives.
    pub(in crate::doctor) is_served: bool,
}

/// Reads a sale. An error means that Redis is out of reach. How far a gateway has followed it is to be asked afterwards.
pub(in crate::doctor) async fn read(
    look: &Look<'_>,
    id: &str,
    file: Option<(String, Definition)>,
) -> Result<SaleFacts, Failure> {
    let applied = match look.admin.show(id).await {
        Ok((snapshot, definition)) => Ok(Some(Applied {
            revision: snapshot.number("revision").unsigned_abs(),
            sequence: snapshot.header.sequence,
            levers: snapshot.levers(),
            counts: snapshot.counts(),
            is_same_redis: snapshot.run_id() == look.run_id,
            definition,
        })),
        Err(Failure::Refused(Refusal::Missing)) => Ok(None),
        Err(Failure::Refused(refusal)) => Err(refusal.to_string()),
        Err(failure) => return Err(failure),
    };
    let audit = match &applied {
        Ok(None) => None,
        _ => match audit::audit(look.admin.pool(), look.admin.scripts(), id).await {
            Ok(report) => Some(Ok(report)),
            Err(failure @ Failure::Refused(_)) => Some(Err(failure.to_string())),
            Err(failure) => return Err(failure),
        },
    };
    Ok(SaleFacts {
        id: id.to_owned(),
        now_ms: look.now_ms,
        audit,
        followed: None,
        is_served: look.is_served,
        applied,
        file,
    })
}
