//! The operator's decision that recovery does not wait for a gateway, or takes the ledger as it is.

use crate::manage::admin::Actor;
use crate::recovery::collect::read_reports;
use crate::recovery::report::ALL;
use crate::store::keys::Keys;
use crate::store::scripts::{Failure, Refusal};
use crate::store::{Pool, checkout};

/// What the release of one gateway does to buyers.
pub const RELEASE_EFFECT: &str = "recovery no longer waits for the report of this gateway; a buyer whose reservation only it \
    acknowledged, in the last instants before, may have none";
/// What the release of all does to buyers.
pub const RELEASE_ALL_EFFECT: &str = "the sale continues with the ledger as it is; a buyer whose reservation was acknowledged after \
    that has none, and the car is sold again. Restart every gateway that reports the ledger as behind then";

/// Releases a gateway: recovery no longer waits for its report. With `None` recovery takes the ledger as it is.
///
/// # Errors
///
/// The inner one, in words, if recovery does not wait for this gateway; the outer one if the sale does not exist.
pub async fn release(
    pool: &Pool,
    sale: &str,
    gateway: Option<&str>,
    by: &Actor,
) -> Result<Result<(), String>, Failure> {
    let keys = Keys::of(sale);
    let mut conn = checkout(pool, keys.recovery()).await?;
    let reports = read_reports(&mut conn, &keys, false).await?;
    if let Err(why) = reports.check_release(gateway) {
        let is_there: i64 =
            redis::cmd("EXISTS").arg(keys.state()).arg(keys.journal()).query_async(&mut conn).await?;
        return if is_there > 0 { Ok(Err(format!("{sale} {why}"))) } else { Err(Refusal::Missing.into()) };
    }
    let field = format!("x:{}", gateway.unwrap_or(ALL));
    let mut note = redis::cmd("HSET");
    note.arg(keys.recovery()).arg(field).arg(by.args().join(": "));
    note.query_async::<i64>(&mut conn).await?;
    Ok(Ok(()))
}
