//! Collects the facts of each sale from the ledger, with its audit.

use crate::doctor::gather::redis::RedisInstance;
use crate::doctor::sale::{AppliedSale, SaleFacts};
use crate::domain::definition::Definition;
use crate::manage::admin::Admin;
use crate::store::keys::Keys;
use crate::store::scripts::{Failure, Refusal};

/// The inputs of the query.
pub(crate) struct SaleQuery<'a> {
    pub(crate) admin: &'a Admin,
    /// Each Redis of the ledger.
    pub(crate) redis: &'a [RedisInstance],
    /// Whether any gateway is live.
    pub(crate) is_served: bool,
}

/// Reads a sale. An error means that Redis is unreachable. Read the sequence of the gateway afterwards.
pub(crate) async fn read(
    query: &SaleQuery<'_>,
    id: &str,
    file: Option<(String, Definition)>,
) -> Result<SaleFacts, Failure> {
    let keys = Keys::of(id);
    let here = query.redis.iter().find(|instance| instance.redis.has_slot(keys.slot()));
    let (run_id, now_ms) = here.map_or(("", 0), |instance| (instance.run_id.as_str(), instance.now_ms));
    let applied = match query.admin.show(id).await {
        Ok((snapshot, definition)) => Ok(Some(AppliedSale {
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
        _ => match query.admin.audit(id).await {
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
        is_served: query.is_served,
        applied,
        file,
    })
}
