//! Compares a relay's copy in PostgreSQL with the ledger: every change, every reservation, and the audit's counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::Failed;
use crate::gateway::{Client, Reply, send};
use crate::postgres::Postgres;

/// Lines that are compared at a time: some MiB.
const LINES: usize = 5_000;
/// Reservations that are also read over the public API.
const SHOWN: usize = 25;

/// What was compared, and is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    pub changes: usize,
    pub reservations: usize,
}

/// Compares a copy that has all changes of a sale that rests.
///
/// # Errors
///
/// [`Failed::Wrong`] names the first difference.
pub async fn compare(
    gateway: &Client,
    postgres: &Postgres,
    database: &str,
    sale: &str,
) -> Result<Compared, Failed> {
    let (mut changes, mut latest, mut last) = (0, BTreeMap::new(), None);
    loop {
        let after = last.as_ref().map_or("0-0", |line: &Value| line["cursor"].as_str().unwrap_or_default());
        let lines = lines(gateway, sale, after).await?;
        compare_changes(postgres, database, sale, last.as_ref(), &lines)?;
        changes += lines.len();
        for line in &lines {
            if let Some(id) = line["reservation"].as_str() {
                latest.insert(id.to_owned(), reservation_of_line(line));
            }
        }
        match lines.into_iter().next_back() {
            Some(line) => last = Some(line),
            None => break,
        }
    }
    let query = format!("SELECT to_jsonb(r) FROM reservations r WHERE sale = '{sale}' ORDER BY reservation");
    let rows = rows(postgres, database, &query)?;
    let copied = rows.iter().filter_map(|row| Some((row["reservation"].as_str()?, reservation_of_row(row))));
    let copied: BTreeMap<&str, Value> = copied.collect();
    same("the number of reservations", &copied.len(), &latest.len())?;
    for (id, expected) in &latest {
        same(&format!("reservation {id}"), copied.get(id.as_str()).unwrap_or(&Value::Null), expected)?;
    }
    compare_with_public(gateway, sale, &copied).await?;
    Ok(Compared { changes, reservations: latest.len() })
}

/// The rows of these lines, and none besides up to the last line; after the last line there must be no row at all.
fn compare_changes(
    postgres: &Postgres,
    database: &str,
    sale: &str,
    after: Option<&Value>,
    lines: &[Value],
) -> Result<(), Failed> {
    let bound = |line: &Value, sign: &str| match sequence(line) {
        Some(sequence) => format!(" AND (sequence, place) {sign} ({sequence}, {})", line["change"]),
        None => String::new(),
    };
    let from = after.map(|line| bound(line, ">")).unwrap_or_default();
    let to = lines.last().map(|line| bound(line, "<=")).unwrap_or_default();
    let query = format!(
        "SELECT to_jsonb(c) FROM changes c WHERE sale = '{sale}' AND rescinded_at IS NULL{from}{to}
         ORDER BY sequence, place"
    );
    let rows = rows(postgres, database, &query)?;
    for (row, line) in rows.iter().zip(lines) {
        same("a change's line", &row["line"], line)?;
        let columns = json!([row["sequence"], row["place"], row["kind"], row["reservation"], row["cursor"]]);
        let expected =
            json!([sequence(line), line["change"], line["kind"], line["reservation"], line["cursor"]]);
        same("a change's columns", &columns, &expected)?;
        same("a change's time", &instant(&row["at"]), &instant(&line["at"]))?;
    }
    let at = lines.first().or(after).map(|line| line["cursor"].to_string()).unwrap_or_default();
    same(&format!("the number of changes from {at} on"), &rows.len(), &lines.len())
}

/// The audit counts as many of each state, and the public API shows some of them as they are here.
async fn compare_with_public(
    gateway: &Client,
    sale: &str,
    copied: &BTreeMap<&str, Value>,
) -> Result<(), Failed> {
    let audit = gateway.ops_get(&format!("/admin/v1/sales/{sale}/audit")).await;
    for state in ["held", "confirmed", "cancelled", "expired"] {
        let count = copied.values().filter(|row| row["state"] == state).count();
        same(
            &format!("the number of {state} reservations"),
            &json!(count),
            &audit.json["reservations"][state],
        )?;
    }
    for (id, row) in copied.iter().step_by(1 + copied.len() / SHOWN) {
        let path = format!("/v1/sales/{sale}/reservations/{id}");
        let shown = send(gateway.request(Method::GET, &path).bearer_auth(gateway.service_token())).await.json;
        for member in ["state", "number", "version", "model", "packages", "store", "unavailable"] {
            same(&format!("{member} of {id} in the API"), &row[member], &shown[member])?;
        }
        same(&format!("total of {id} in the API"), &row["total"], &shown["price"]["total"])?;
        same(&format!("lines of {id} in the API"), &row["lines"], &shown["price"]["lines"])?;
    }
    Ok(())
}

/// At least so many lines after a cursor, or all.
async fn lines(gateway: &Client, sale: &str, after: &str) -> Result<Vec<Value>, Failed> {
    let (mut lines, mut after) = (Vec::<Value>::new(), after.to_owned());
    while lines.len() < LINES {
        let path = format!("/admin/v1/sales/{sale}/journal?limit=10000&from={after}");
        let Reply { status, text, .. } = gateway.ops_get(&path).await;
        if status != 200 {
            return Err(Failed::Wrong(format!("the journal after {after} can't be read: {status} {text}")));
        }
        let before = lines.len();
        for line in text.lines() {
            lines.push(serde_json::from_str(line).map_err(Failed::to("read a line of the journal"))?);
        }
        match lines.last() {
            Some(last) if lines.len() > before => {
                last["cursor"].as_str().unwrap_or_default().clone_into(&mut after)
            }
            _ => break,
        }
    }
    Ok(lines)
}

/// Rows of one JSON column.
fn rows(postgres: &Postgres, database: &str, sql: &str) -> Result<Vec<Value>, Failed> {
    let text = postgres.try_sql(database, sql)?;
    let rows = text.lines().map(|line| serde_json::from_str(line).map_err(Failed::to("read a row")));
    rows.collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, copied: &T, expected: &T) -> Result<(), Failed> {
    if copied == expected {
        return Ok(());
    }
    Err(Failed::Wrong(format!(
        "{what}: expected {expected:?} as in the ledger, found {copied:?} in the copy"
    )))
}

fn sequence(line: &Value) -> Option<u64> {
    line["id"].as_str()?.strip_suffix("-0")?.parse().ok()
}

/// What a row and a line call alike.
const ALIKE: [&str; 9] =
    ["buyer", "number", "version", "state", "model", "packages", "store", "unavailable", "payment"];
const PRICES: [&str; 4] = ["currency", "total", "deposit", "balance"];

/// A reservation as its row has it.
fn reservation_of_row(row: &Value) -> Value {
    let mut reservation: Value =
        ALIKE.iter().chain(&PRICES).map(|name| ((*name).to_owned(), row[*name].clone())).collect();
    reservation["lines"] = row["price_lines"].clone();
    reservation["times"] = json!(["held_at", "expires_at", "changed_at"].map(|name| instant(&row[name])));
    reservation
}

/// The same as a line has it.
fn reservation_of_line(line: &Value) -> Value {
    let mut reservation: Value = ALIKE.iter().map(|name| ((*name).to_owned(), line[*name].clone())).collect();
    for name in PRICES.iter().chain(&["lines"]) {
        reservation[*name] = line["price"][*name].clone();
    }
    reservation["times"] = json!(["held_at", "expires_at", "at"].map(|name| instant(&line[name])));
    reservation
}

/// In milliseconds.
fn instant(text: &Value) -> Option<i64> {
    text.as_str()?.parse().ok().map(|instant: Timestamp| instant.as_millisecond())
}
