use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use testkit::postgres::Postgres as Server;

use super::{Database, Postgres};
use crate::change::{Change, Page};
use crate::sink::{Sink, SinkError};
use crate::status::Status;

fn copy(url: &str, reader: &str) -> Postgres {
    let database = Database::new(url, None, crate::trust::tls(None).unwrap()).unwrap();
    Postgres::new(database, Arc::new(Status::new("small", reader, "postgres")))
}

/// A change of a history, which brings a reservation into a state.
fn change(sequence: u64, history: &str, reservation: &str, state: &str) -> Change {
    let line = json!({
        "cursor": format!("{sequence}-0/1~{history}"), "id": format!("{sequence}-0"), "change": 1, "changes": 1,
        "kind": "reserve", "at": "2026-11-30T00:00:00Z", "sale": "small", "reservation": reservation, "buyer": "ada",
        "number": 1, "version": sequence, "state": state, "model": "white", "packages": ["cover", "care"], "store": null,
        "unavailable": [], "payment": null, "held_at": "2026-11-30T00:00:00Z", "expires_at": null,
        "price": {"currency": "CNY", "total": 2, "deposit": 1, "balance": 1, "lines": []},
    });
    Change::parse(&line.to_string()).unwrap()
}

fn page(changes: &[Change]) -> Page {
    Page { cursor: changes.last().unwrap().cursor.clone(), changes: changes.to_vec() }
}

fn reservations(server: &Server) -> Vec<String> {
    let sql = "SELECT reservation, state, sequence FROM reservations ORDER BY reservation";
    server.sql("orders", sql).lines().map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_fork_takes_reservations_back_to_their_last_common_change() {
    let server = Server::start();
    let url = server.database("orders");
    let mut copy = copy(&url, "orders");
    assert_eq!(copy.position().await, Ok(None));
    let old = [
        change(1, "a", "r1", "held"),
        change(2, "a", "r2", "held"),
        change(3, "a", "r1", "confirmed"),
        change(4, "a", "r3", "held"),
        change(5, "a", "r1", "cancelled"),
    ];
    copy.deliver(&page(&old[..2]), 7).await.unwrap();
    copy.deliver(&page(&old[2..]), 7).await.unwrap();
    assert_eq!(reservations(&server), ["r1|cancelled|5", "r2|held|2", "r3|held|4"]);

    let new = [change(2, "a", "r2", "held"), change(3, "b", "r2", "expired"), change(4, "b", "r4", "held")];
    assert_eq!(copy.last_known(&new).await, Ok(Some(0)));
    assert_eq!(copy.last_known(&new[1..]).await, Ok(None));
    copy.rescind("2-0/1~a", 7).await.unwrap();
    assert_eq!(reservations(&server), ["r1|held|1", "r2|held|2"]);
    assert_eq!(copy.position().await, Ok(Some("2-0/1~a".to_owned())));
    assert_eq!(copy.last_known(&old[2..]).await, Ok(None), "what was taken back is not known");
    copy.deliver(&page(&new[1..]), 7).await.unwrap();
    assert_eq!(reservations(&server), ["r1|held|1", "r2|expired|3", "r4|held|4"]);
    let changes =
        "SELECT sequence, generation, rescinded_at IS NOT NULL FROM changes ORDER BY sequence, generation";
    let expected = "1|0|f\n2|0|f\n3|0|t\n3|1|f\n4|0|t\n4|1|f\n5|0|t\n";
    assert_eq!(server.sql("orders", changes), expected);
    let counted = [&copy.status.delivered, &copy.status.rescinded].map(|count| count.load(Relaxed));
    assert_eq!(counted, [7, 3]);
    // All of it: as for a sale that was purged.
    copy.rescind("0-0", 7).await.unwrap();
    assert_eq!(reservations(&server), [""; 0]);
}

#[tokio::test]
async fn only_the_newest_fence_writes_and_only_from_where_the_copy_is() {
    let server = Server::start();
    let url = server.database("orders");
    let (mut one, mut other) = (copy(&url, "orders"), copy(&url, "orders"));
    assert_eq!((one.position().await, other.position().await), (Ok(None), Ok(None)));
    let [first, second, third] = [1, 2, 3].map(|sequence| page(&[change(sequence, "a", "r", "held")]));
    one.deliver(&first, 1).await.unwrap();
    // It does not know yet that there is a row.
    assert!(matches!(other.deliver(&first, 2).await, Err(SinkError::Transient(_))));
    assert_eq!(other.position().await, Ok(Some(first.cursor.clone())));
    other.deliver(&second, 2).await.unwrap();
    assert_eq!(one.deliver(&second, 1).await, Err(SinkError::Superseded));
    assert_eq!(one.rescind("0-0", 1).await, Err(SinkError::Superseded));
    // With the newest fence, but from an outdated cursor: a page that was read before must not come twice.
    assert!(matches!(one.deliver(&second, 2).await, Err(SinkError::Transient(_))));
    assert_eq!(one.position().await, Ok(Some(second.cursor.clone())));
    one.deliver(&third, 2).await.unwrap();
    assert_eq!(server.sql("orders", "SELECT count(*) FROM changes").trim(), "3");
    let error = copy(&url, "erp").position().await.unwrap_err();
    assert!(error.to_string().contains("use --name orders"), "{error}");
}

#[tokio::test]
async fn a_line_without_what_a_row_needs_is_refused_whole() {
    let server = Server::start();
    let url = server.database("orders");
    let mut copy = copy(&url, "orders");
    copy.position().await.unwrap();
    let mut broken = change(2, "a", "r2", "held");
    broken.line["price"] = Value::Null;
    let changes = [change(1, "a", "r1", "held"), broken];
    assert!(matches!(copy.deliver(&page(&changes), 1).await, Err(SinkError::Fatal(_))));
    assert_eq!(copy.position().await, Ok(None));
    assert_eq!(server.sql("orders", "SELECT count(*) FROM changes").trim(), "0");
}

#[tokio::test]
async fn the_password_comes_from_its_file_and_tls_is_not_silently_left_out() {
    let server = Server::start();
    let url = server.database("orders");
    let files = tempfile::tempdir().unwrap();
    let password = files.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let tls = || crate::trust::tls(None).unwrap();
    let error = Database::new("postgres://ada:secret@h/d", None, tls()).err().unwrap();
    assert!(error.to_string().contains("--postgres-password-file") && !error.to_string().contains("secret"));
    let with = Database::new("postgres://ada@h/d", Some(&password), tls()).unwrap();
    assert_eq!(with.with_password().unwrap().get_password(), Some(&b"secret"[..]));
    assert!(Database::new("postgres://ada@h/d", Some(&files.path().join("none")), tls()).is_err());
    assert!(Database::new("not a URL", None, tls()).is_err());
    let encrypted = Database::new(&format!("{url}&sslmode=require"), None, tls()).unwrap();
    let status = Arc::new(Status::new("small", "orders", "postgres"));
    let error = Postgres::new(encrypted, status).position().await.unwrap_err();
    assert!(error.to_string().contains("TLS"), "{error}");
}
