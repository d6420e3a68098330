use std::sync::Arc;

use testkit::postgres::Postgres;
use tokio_postgres::{Client, NoTls};

use super::{VERSIONS, migrate, text, version};
use crate::change::{Change, Page};
use crate::failure::Failure;
use crate::postgres::{Database, Postgres as Copy};
use crate::sink::{Sink, SinkError};
use crate::status::Status;

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A copy with one reservation, as this version writes it.
async fn fill(url: &str) {
    let line = serde_json::json!({
        "cursor": "1-0/1~a", "id": "1-0", "change": 1, "changes": 1, "kind": "reserve", "at": "2026-11-30T00:00:00Z",
        "sale": "small", "reservation": "r", "buyer": "ada", "number": 1, "version": 1, "state": "held", "model": "white",
        "packages": ["cover"], "store": null, "unavailable": [], "payment": null, "held_at": "2026-11-30T00:00:00Z",
        "expires_at": "2026-11-30T00:15:00Z",
        "price": {"currency": "CNY", "total": 2, "deposit": 1, "balance": 1, "lines": [{"item": "model:white", "amount": 2}]},
    });
    let change = Change::parse(&line.to_string()).unwrap();
    let database = Database::new(url, None, crate::trust::tls(None).unwrap()).unwrap();
    let mut copy = Copy::new(database, Arc::new(Status::new("small", "orders", "postgres")));
    assert_eq!(copy.position().await, Ok(None));
    let page = Page { cursor: change.cursor.clone(), changes: vec![change] };
    copy.deliver(&page, 1).await.unwrap();
}

#[tokio::test]
async fn a_later_version_is_applied_to_tables_with_rows_once() {
    let server = Postgres::start();
    let url = server.database("orders");
    fill(&url).await;
    let mut client = connect(&url).await;
    let next = "ALTER TABLE reservations ADD COLUMN city text NOT NULL DEFAULT 'Guangzhou'";
    let versions = [VERSIONS, &[next]].concat();
    migrate(&mut client, &versions).await.unwrap();
    assert_eq!(version(&client).await.unwrap(), versions.len());
    assert_eq!(server.sql("orders", "SELECT buyer, city FROM reservations").trim(), "ada|Guangzhou");
    migrate(&mut client, &versions).await.unwrap();
    // The earlier version must not write to tables that it does not know.
    let older = migrate(&mut client, VERSIONS).await.unwrap_err();
    assert!(
        matches!(&older, SinkError::Fatal(Failure::Outside(text)) if text.contains("at least as new")),
        "{older}"
    );
}

#[tokio::test]
async fn a_version_that_fails_leaves_the_tables_as_they_were() {
    let server = Postgres::start();
    let url = server.database("orders");
    fill(&url).await;
    let mut client = connect(&url).await;
    let broken = "ALTER TABLE reservations ADD COLUMN city text; SELECT 1 FROM nowhere";
    let versions = [VERSIONS, &[broken]].concat();
    assert!(migrate(&mut client, &versions).await.is_err());
    assert_eq!(version(&client).await.unwrap(), VERSIONS.len());
    assert!(server.try_sql("orders", "SELECT city FROM reservations").is_err());
}

#[tokio::test]
async fn relays_that_start_at_once_make_the_tables_once() {
    let server = Postgres::start();
    for n in 0..10 {
        let url = server.database(&format!("orders{n}"));
        let (mut one, mut other) = (connect(&url).await, connect(&url).await);
        let made = tokio::join!(migrate(&mut one, VERSIONS), migrate(&mut other, VERSIONS));
        assert_eq!(made, (Ok(()), Ok(())));
        assert_eq!(version(&one).await.unwrap(), VERSIONS.len());
    }
}

#[test]
fn what_is_printed_notes_its_version() {
    let last = format!("INSERT INTO relay_schema (version) VALUES ({});", VERSIONS.len());
    assert!(text().trim_end().ends_with(&last), "{}", text());
}
