//! The tables of the copy: their SQL by version, applied at the start.

use tokio_postgres::{Client, GenericClient};

use crate::failure::Failure;
use crate::postgres::errors::{failed, fatal};
use crate::sink::SinkError;

/// The SQL of each version, from 1. What was released is never changed; a change is one more version.
pub(super) const VERSIONS: &[&str] = &[include_str!("1.sql")];

/// Of `pg_advisory_xact_lock`: two relays that start at once must not both create the tables.
const LOCK: i64 = 0x6c67_7265_6c61_7901;

/// `to_regclass` would remember that the table is missing, also when another relay has just made it.
const IS_THERE: &str = "
SELECT EXISTS (
    SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relname = 'relay_schema' AND nspname = ANY (current_schemas(false))
)";

/// All of it, as `--print-schema` shows it: an administrator may apply it by hand.
pub(crate) fn text() -> String {
    (1..).zip(VERSIONS).map(|(version, sql)| format!("{sql}\n{}\n\n", applied(version))).collect()
}

/// What notes that a version is applied.
fn applied(version: usize) -> String {
    format!("INSERT INTO relay_schema (version) VALUES ({version});")
}

/// Applies the versions that are missing, in one transaction.
pub(super) async fn migrate(client: &mut Client, versions: &[&str]) -> Result<(), SinkError> {
    // Without the lock first: a relay that may only write rows can start, too.
    if version(client).await? == versions.len() {
        return Ok(());
    }
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    let found = version(&transaction).await?;
    if found > versions.len() {
        return Err(fatal(Failure::Outside(format!(
            "the tables have version {found}, and this relay knows versions up to {}: start one that is at least as new \
             as the one that wrote them last",
            versions.len()
        ))));
    }
    for (number, sql) in (1..).zip(versions).skip(found) {
        transaction.batch_execute(sql).await.map_err(failed)?;
        transaction.batch_execute(&applied(number)).await.map_err(failed)?;
        tracing::info!("the tables have version {number} now");
    }
    transaction.commit().await.map_err(failed)
}

/// The version of the tables; 0: there are none.
async fn version(client: &impl GenericClient) -> Result<usize, SinkError> {
    let row = client.query_one(IS_THERE, &[]).await.map_err(failed)?;
    if !row.get::<_, bool>(0) {
        return Ok(0);
    }
    let row =
        client.query_one("SELECT coalesce(max(version), 0) FROM relay_schema", &[]).await.map_err(failed)?;
    Ok(usize::try_from(row.get::<_, i32>(0)).unwrap_or(0))
}

#[cfg(test)]
mod tests;
