//! What the ledger has of each sale, and its audit.

use crate::doctor::gather::redis::Itself;
use crate::doctor::sale::{Applied, SaleFacts};
use crate::domain::definition::Definition;
use crate::manage::admin::Admin;
use crate::manage::audit;
use crate::store::keys::Keys;
use crate::store::scripts::{Failure, Refusal};

/// Where and when it is looked.
pub(crate) struct Look<'a> {
    pub(crate) admin: &'a Admin,
    /// Each Redis that the ledger is in.
    pub(crate) redis: &'a [Itself],
    /// Whether any gateway lives.
    pub(crate) is_served: bool,
}

/// Reads a sale. An error means that Redis is out of reach. How far a gateway has followed it is to be asked afterwards.
pub(crate) async fn read(
    look: &Look<'_>,
    id: &str,
    file: Option<(String, Definition)>,
) -> Result<SaleFacts, Failure> {
    let keys = Keys::of(id);
    let here = look.redis.iter().find(|itself| itself.redis.has_slot(keys.slot()));
    let (run_id, now_ms) = here.map_or(("", 0), |itself| (itself.run_id.as_str(), itself.now_ms));
    let applied = match look.admin.show(id).await {
        Ok((snapshot, definition)) => Ok(Some(Applied {
            revision: snapshot.number("revision").unsigned_abs(),
            sequence: snapshot.header.sequence,
            controls: snapshot.controls(),
            counts: snapshot.counts(),
            is_same_redis: snapshot.epoch() == run_id,
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
        now_ms,
        audit,
        followed: None,
        is_served: look.is_served,
        applied,
        file,
    })
}
