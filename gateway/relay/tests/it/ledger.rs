//! Compares a copy in PostgreSQL with the ledger, row by row.

use std::collections::BTreeMap;

use serde_json::{Value, json};
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
    let changes = "SELECT to_jsonb(c) FROM changes c WHERE sale = 'small' AND rescinded_at IS NULL ORDER BY sequence, place";
    let changes = rows(postgres, database, changes);
    let copied: Vec<Value> = changes.iter().map(|row| row["line"].clone()).collect();
    assert_eq!(copied.len(), lines.len(), "changes");
    for (copied, expected) in copied.iter().zip(&lines) {
        assert_eq!(copied, expected);
    }
    for (row, line) in changes.iter().zip(&lines) {
        let columns = json!([row["sequence"], row["place"], row["kind"], row["reservation"], row["cursor"]]);
        let sequence: u64 = line["id"].as_str().unwrap().strip_suffix("-0").unwrap().parse().unwrap();
        assert_eq!(
            columns,
            json!([sequence, line["change"], line["kind"], line["reservation"], line["cursor"]])
        );
    }
    let reservations =
        rows(postgres, database, "SELECT to_jsonb(r) FROM reservations r WHERE sale = 'small'");
    let copied: BTreeMap<&str, Value> =
        reservations.iter().map(|row| (row["reservation"].as_str().unwrap(), of_row(row))).collect();
    let latest: BTreeMap<&str, Value> =
        lines.iter().filter_map(|line| Some((line["reservation"].as_str()?, of_line(line)))).collect();
    assert_eq!(copied.len(), latest.len(), "reservations");
    assert_eq!(copied, latest);
    are_public(gateway, &copied).await;
}

/// The audit counts as many of each state, and the public API shows some of them as they are here.
async fn are_public(gateway: &Client, copied: &BTreeMap<&str, Value>) {
    let audit = gateway.audit().await;
    for state in ["held", "confirmed", "cancelled", "expired"] {
        let count = copied.values().filter(|row| row["state"] == state).count();
        assert_eq!(audit["reservations"][state], count, "{state}: {audit}");
    }
    let token = gateway.service_token();
    for (id, row) in copied.iter().step_by(1 + copied.len() / 25) {
        let shown = gateway.call(testkit::Method::GET, token.clone(), id, "", &json!({})).await.json;
        for member in ["state", "number", "version", "model", "packages", "store", "unavailable"] {
            assert_eq!(row[member], shown[member], "{member}: {shown}");
        }
        assert_eq!(
            (&row["total"], &row["lines"]),
            (&shown["price"]["total"], &shown["price"]["lines"]),
            "{shown}"
        );
    }
}

/// A reservation as its row has it.
fn of_row(row: &Value) -> Value {
    let same =
        ["buyer", "number", "version", "state", "model", "packages", "store", "unavailable", "payment"];
    let mut reservation: Value = same.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect();
    for name in ["currency", "total", "deposit", "balance"] {
        reservation[name] = row[name].clone();
    }
    reservation["lines"] = row["price_lines"].clone();
    reservation["times"] =
        json!([instant(&row["held_at"]), instant(&row["expires_at"]), instant(&row["changed_at"])]);
    reservation
}

/// The same as a line has it.
fn of_line(line: &Value) -> Value {
    let same =
        ["buyer", "number", "version", "state", "model", "packages", "store", "unavailable", "payment"];
    let mut reservation: Value = same.iter().map(|name| ((*name).to_owned(), line[*name].clone())).collect();
    for name in ["currency", "total", "deposit", "balance", "lines"] {
        reservation[name] = line["price"][name].clone();
    }
    reservation["times"] =
        json!([instant(&line["held_at"]), instant(&line["expires_at"]), instant(&line["at"])]);
    reservation
}

fn instant(text: &Value) -> Option<i64> {
    text.as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Rows of one JSON column.
pub(crate) fn rows(postgres: &Postgres, database: &str, sql: &str) -> Vec<Value> {
    postgres.sql(database, sql).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
