//! Tests the outbox: what is due, what is kept, what a fork takes back, and who may open it.

mod history;
mod versions;

use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::sink::SinkError;

const SALE: &str = "car";
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> Outbox {
    let outbox = try_open(folder, SALE).unwrap();
    // Tests lose no power.
    outbox.connection.pragma_update(None, "synchronous", "OFF").unwrap();
    outbox
}

/// A test beside this one may start a program, which has the lock until it runs.
fn try_open(folder: &TempDir, sale: &str) -> Result<Outbox, Failure> {
    let open = || match Outbox::open(folder.path(), sale, "orders") {
        Err(failure) if failure.to_string().contains("another relay uses it") => None,
        opened => Some(opened),
    };
    testkit::wait_for("the folder is free", open).unwrap()
}

/// A change of a reservation; those of the same content have the same cursor.
fn change(sequence: u64, reservation: &str, content: &str) -> Change {
    let content = if content.is_empty() { "x" } else { content };
    let line = json!({"cursor": format!("{sequence}-0/1~{content}"), "id": format!("{sequence}-0"), "change": 1,
        "kind": "confirm", "at": "2026-11-30T00:00:00Z", "state": "confirmed",
        "reservation": Some(reservation).filter(|r| !r.is_empty())});
    Change::parse(&line.to_string()).unwrap()
}

fn page(changes: &[Change]) -> Page {
    Page { changes: changes.to_vec(), cursor: changes.last().unwrap().cursor.clone() }
}

fn store(outbox: &mut Outbox, changes: &[(u64, &str, &str)]) {
    let changes: Vec<Change> = changes.iter().map(|(n, r, content)| change(*n, r, content)).collect();
    outbox.store(&page(&changes), 1).unwrap();
}

fn deliver(outbox: &mut Outbox, max: usize) -> Vec<String> {
    let due = outbox.fresh(0.0, &[], max).unwrap();
    let outcomes: Vec<_> = due.iter().map(|due| (due.clone(), Outcome::Delivered)).collect();
    outbox.record(&outcomes, 0).unwrap();
    ids(&due)
}

fn ids(due: &[Due]) -> Vec<String> {
    due.iter().map(|due| due.id.clone()).collect()
}

fn failed(error: &str, next: Option<i64>) -> Outcome {
    Outcome::Failed { error: error.to_owned(), next }
}

#[test]
fn each_reservation_has_one_webhook_due_and_a_failure_parks_no_other() {
    let folder = folder();
    let mut outbox = open(&folder);
    store(&mut outbox, &[(1, "a", ""), (2, "a", ""), (3, "b", ""), (4, "", ""), (5, "b", "")]);
    let due = outbox.fresh(0.0, &[], 9).unwrap();
    assert_eq!(ids(&due), ["car/1/1/x", "car/3/1/x", "car/4/1/x"]);
    assert_eq!(ids(&outbox.fresh(0.0, &["a".into()], 1).unwrap()), ["car/3/1/x"]);
    outbox
        .record(&[(due[0].clone(), failed("500", Some(70))), (due[1].clone(), Outcome::Delivered)], 20)
        .unwrap();
    assert_eq!(ids(&outbox.fresh(0.0, &[], 9).unwrap()), ["car/4/1/x", "car/5/1/x"]);
    assert_eq!((outbox.failed(69, &[], 9).unwrap().len(), outbox.next_due(20).unwrap()), (0, Some(70)));
    let again = outbox.failed(70, &[], 9).unwrap();
    assert_eq!((ids(&again), again[0].attempts), (vec!["car/1/1/x".to_owned()], 1));
    let parked = outbox.parked().unwrap();
    let expected = json!([{"reservation": "a", "webhook": "car/1/1/x", "waiting": 2, "attempts": 1,
        "since": "1970-01-01T00:00:00.02Z", "next_attempt": "1970-01-01T00:00:00.07Z", "dead": false, "error": "500"}]);
    assert_eq!(serde_json::to_value(parked).unwrap(), expected);
    let oldest = Some("2026-11-30T00:00:00Z".to_owned());
    assert_eq!(outbox.counts().unwrap(), Counts { waiting: 4, parked: 1, dead: 0, stuck: 0, oldest });
}

#[test]
fn probes_are_taken_from_everywhere() {
    let folder = folder();
    let mut outbox = open(&folder);
    assert_eq!(outbox.probe(0, 0.5).unwrap(), None);
    let changes: Vec<Change> = (1..=100).map(|n| change(n, &n.to_string(), "")).collect();
    outbox.store(&page(&changes), 1).unwrap();
    let failures = outbox.fresh(0.0, &[], 2).unwrap().into_iter().map(|due| (due, failed("500", Some(5))));
    outbox.record(&failures.collect::<Vec<_>>(), 0).unwrap();
    let probe = |now: i64, random: f64| outbox.probe(now, random).unwrap().unwrap().id;
    assert_eq!(
        (probe(5, 0.2), probe(4, 0.0)),
        ("car/1/1/x".into(), "car/3/1/x".into()),
        "none of the failed is due"
    );
    assert_eq!(
        (probe(5, 0.5), probe(5, 0.75), probe(5, 0.99)),
        ("car/3/1/x".into(), "car/51/1/x".into(), "car/98/1/x".into())
    );
}

#[test]
fn a_dead_letter_holds_its_reservation_until_an_operator_releases_it() {
    let folder = folder();
    let mut outbox = open(&folder);
    store(&mut outbox, &[(1, "a", ""), (2, "a", ""), (3, "b", "")]);
    let due = outbox.fresh(0.0, &[], 9).unwrap();
    outbox.record(&[(due[0].clone(), failed("500", None)), (due[1].clone(), Outcome::Delivered)], 0).unwrap();
    assert!(
        outbox.failed(i64::MAX, &[], 9).unwrap().is_empty() && outbox.fresh(0.0, &[], 9).unwrap().is_empty()
    );
    assert_eq!(outbox.counts().unwrap(), Counts { waiting: 2, parked: 1, dead: 1, stuck: 2, oldest: None });
    let mut beside = Outbox::open_beside(folder.path()).unwrap();
    let seen = outbox.foreign_writes().unwrap();
    assert!(!beside.release_reservation("b").unwrap() && !beside.release_webhook("car/2/1/x").unwrap());
    assert!(beside.release_webhook("car/1/1/x").unwrap());
    assert_ne!(outbox.foreign_writes().unwrap(), seen);
    assert_eq!(
        (deliver(&mut outbox, 9), deliver(&mut outbox, 9)),
        (vec!["car/1/1/x".into()], vec!["car/2/1/x".into()])
    );
    assert_eq!(beside.release_all().unwrap(), 0);
    assert_eq!(outbox.counts().unwrap(), Counts::default());
}

#[test]
fn a_receiver_that_is_gone_is_remembered_by_its_url() {
    let folder = folder();
    let mut outbox = open(&folder);
    outbox.note_gone("https://a.example digest").unwrap();
    drop(outbox);
    outbox = open(&folder);
    assert!(
        outbox.is_gone("https://a.example digest").unwrap()
            && !outbox.is_gone("https://a.example other").unwrap()
    );
    assert_eq!(outbox.gone().unwrap().as_deref(), Some("https://a.example"));
    outbox.release_all().unwrap();
    assert_eq!(outbox.gone().unwrap(), None);
}

#[test]
fn a_fork_takes_back_what_may_have_been_sent_newest_first_and_drops_the_rest() {
    let folder = folder();
    let mut outbox = open(&folder);
    store(&mut outbox, &[(1, "a", ""), (2, "a", ""), (3, "b", ""), (4, "a", ""), (5, "a", ""), (6, "b", "")]);
    for _ in 0..2 {
        deliver(&mut outbox, 1);
    }
    // Delivered: 1 and 2. The first ones of their queues: 3 and 4.
    assert_eq!(outbox.rescind("1-0/1~x", 1, NOW).unwrap(), 3);
    assert_eq!(outbox.cursor().unwrap().as_deref(), Some("1-0/1~x"));
    store(&mut outbox, &[(2, "a", "new")]);
    let due = outbox.fresh(0.0, &[], 9).unwrap();
    assert_eq!(ids(&due), ["car/4/1/x/rescinded/0", "car/3/1/x/rescinded/0"]);
    let body: Value = serde_json::from_str(&due[0].body).unwrap();
    assert_eq!((&body["type"], &body["rescinds"]), (&json!("reservation.rescinded"), &json!("car/4/1/x")));
    assert_eq!(body["data"]["id"], "4-0");
    deliver(&mut outbox, 9);
    assert_eq!(deliver(&mut outbox, 9), ["car/2/1/x/rescinded/0"]);
    assert_eq!(deliver(&mut outbox, 9), ["car/2/1/new"]);
    assert_eq!(outbox.counts().unwrap(), Counts::default());
    // What took something back is not taken back by the next fork.
    assert_eq!(outbox.rescind("0-0", 1, NOW).unwrap(), 2);
    assert_eq!(deliver(&mut outbox, 9), ["car/2/1/new/rescinded/0"]);
    assert_eq!(deliver(&mut outbox, 9), ["car/1/1/x/rescinded/0"]);
}

#[test]
fn an_answer_that_arrives_after_a_fork_changes_nothing() {
    let folder = folder();
    let mut outbox = open(&folder);
    store(&mut outbox, &[(1, "a", ""), (2, "a", "")]);
    let sent = outbox.fresh(0.0, &[], 9).unwrap().remove(0);
    outbox.rescind("0-0", 1, NOW).unwrap();
    outbox.record(&[(sent.clone(), failed("500", None))], 0).unwrap();
    outbox.record(&[(sent, Outcome::Delivered)], 0).unwrap();
    assert_eq!(deliver(&mut outbox, 9), ["car/1/1/x/rescinded/0"]);
}

#[test]
fn what_the_new_history_has_too_is_known() {
    let folder = folder();
    let mut outbox = open(&folder);
    store(&mut outbox, &[(1, "a", "x"), (2, "a", "x"), (3, "b", "x")]);
    deliver(&mut outbox, 1);
    let new = [change(1, "a", "x"), change(2, "a", "x"), change(3, "b", "y")];
    assert_eq!(outbox.last_known(&new).unwrap(), Some(1));
    assert_eq!(outbox.last_known(&new[2..]).unwrap(), None);
    outbox.rescind("0-0", 1, NOW).unwrap();
    assert_eq!(outbox.last_known(&new).unwrap(), None);
}

#[test]
fn limits_hold() {
    let folder = folder();
    let mut outbox = open(&folder).with_limits(TRIM * 3, 10);
    let changes: Vec<Change> = (1..=TRIM * 3).map(|n| change(n, &n.to_string(), "")).collect();
    outbox.store(&page(&changes), 1).unwrap();
    let more = page(&[change(TRIM * 3 + 1, "a", "")]);
    let refused = outbox.store(&more, 1).unwrap_err();
    let refused = refused.into_sink_error();
    assert!(matches!(&refused, SinkError::Transient(text) if text.contains("3000 webhooks")), "{refused}");
    // A page of which the filters held everything back needs no room.
    outbox.store(&Page { changes: Vec::new(), cursor: "9999-0/1~x".into() }, 1).unwrap();
    assert_eq!(outbox.cursor().unwrap().as_deref(), Some("9999-0/1~x"));
    assert!(outbox.keeps_all_after(0, 0).unwrap(), "nothing was dropped yet");
    deliver(&mut outbox, 2000);
    assert_eq!([1, 1990, 1991].map(|n| outbox.keeps_all_after(n, 1).unwrap()), [false, false, true]);
    let kept = |outbox: &Outbox| -> i64 {
        outbox
            .connection
            .query_row("SELECT count(*) FROM webhooks WHERE delivered = 1", (), |row| row.get(0))
            .unwrap()
    };
    assert_eq!(kept(&outbox), 10);
    outbox.store(&more, 1).unwrap();
    drop(outbox);
    outbox = open(&folder);
    assert_eq!((outbox.waiting, outbox.delivered), (TRIM + 1, 10));
    assert_eq!(outbox.rescind("0-0", 1, NOW).unwrap(), TRIM + 11);
}

#[test]
fn a_clock_that_was_set_back_holds_up_nothing_for_longer_than_the_schedule() {
    let folder = folder();
    let mut outbox = open(&folder);
    store(&mut outbox, &[(1, "a", "")]);
    let due = outbox.fresh(0.0, &[], 1).unwrap().remove(0);
    outbox.record(&[(due, failed("500", Some(1_000_000)))], 900_000).unwrap();
    outbox.bound_due(3_600).unwrap();
    assert_eq!(outbox.failed(3_600, &[], 1).unwrap().len(), 1);
}

#[test]
fn an_older_fence_is_refused_and_stores_nothing() {
    let folder = folder();
    let mut outbox = open(&folder);
    outbox.store(&page(&[change(1, "a", "")]), 7).unwrap();
    let superseded = |error: OutboxError| error.into_sink_error() == SinkError::Superseded;
    assert!(superseded(outbox.store(&page(&[change(2, "a", "")]), 6).unwrap_err()));
    assert!(superseded(outbox.rescind("0-0", 6, NOW).unwrap_err()));
    assert_eq!(outbox.cursor().unwrap().as_deref(), Some("1-0/1~x"));
    outbox.store(&page(&[change(2, "a", "")]), 8).unwrap();
}

#[test]
fn a_folder_is_of_one_process_one_sale_and_this_version() {
    let folder = folder();
    let first = open(&folder);
    let second = Outbox::open(folder.path(), SALE, "orders").unwrap_err().to_string();
    assert!(second.contains("another relay uses it"), "{second}");
    drop(first);
    let other = try_open(&folder, "van").unwrap_err().to_string();
    assert!(other.contains("it belongs to sale \"car\" and --name \"orders\""), "{other}");
    let outbox = open(&folder);
    outbox.connection.pragma_update(None, "user_version", 3).unwrap();
    drop(outbox);
    let newer = try_open(&folder, SALE).unwrap_err().to_string();
    assert!(newer.contains("a newer relay wrote it (version 3)"), "{newer}");
    let none = Outbox::open_beside(&folder.path().join("none")).unwrap_err().to_string();
    assert!(none.contains("there is no outbox"), "{none}");
    std::fs::write(folder.path().join("outbox.sqlite"), "not a database, but some text").unwrap();
    let damaged = try_open(&folder, SALE).unwrap_err().to_string();
    assert!(damaged.contains("not a database"), "{damaged}");
}

#[test]
fn what_buyers_chose_is_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let state = folder.path().join("new").join("state");
    let mut outbox = Outbox::open(&state, SALE, "orders").unwrap();
    store(&mut outbox, &[(1, "a", "")]);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for name in ["outbox.sqlite", "outbox.sqlite-wal", "lock"] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
}
