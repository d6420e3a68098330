//! Compares a copy in PostgreSQL with the ledger, row by row.

use serde_json::Value;
use testkit::copy::compare;
use testkit::eventually;
use testkit::gateway::{Client, Reply};
use testkit::postgres::Postgres;

/// All lines of the journal.
pub(crate) async fn journal(gateway: &Client) -> Vec<Value> {
    let (mut lines, mut from) = (Vec::<Value>::new(), "0-0".to_owned());
    loop {
        let path = format!("/admin/v1/sales/small/journal?limit=10000&from={from}");
        // A sale is fenced for a while after a restart of Redis.
        let text = eventually("the journal is served", || async {
            let Reply { status, text, .. } = gateway.ops_get(&path).await;
            assert!(matches!(status, 200 | 503), "{text}");
            (status == 200).then_some(text)
        })
        .await;
        let before = lines.len();
        lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        match lines.last() {
            Some(last) if lines.len() > before => last["cursor"].as_str().unwrap().clone_into(&mut from),
            _ => return lines,
        }
    }
}

/// Waits until the copy has all of the ledger, which rests; then both must be the same, row by row.
pub(crate) async fn is_copied(gateway: &Client, postgres: &Postgres, database: &str) {
    let lines = journal(gateway).await;
    let last = lines.last().map(|line| line["cursor"].clone()).unwrap_or_default();
    eventually("the copy has the ledger's last change", || async {
        let cursor = postgres.try_sql(database, "SELECT cursor FROM cursor WHERE sale = 'small'").ok()?;
        (cursor.trim() == last).then_some(())
    })
    .await;
    compare(gateway, postgres, database, "small").await.unwrap();
}

/// Rows of one JSON column.
pub(crate) fn rows(postgres: &Postgres, database: &str, sql: &str) -> Vec<Value> {
    postgres.sql(database, sql).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
