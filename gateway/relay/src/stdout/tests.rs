//! Unit tests of `stdout.rs`.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{REMEMBERED_MAX, Stdout};
use crate::change::{Change, Page};
use crate::failure::Failure;
use crate::sink::{Sink, SinkError};
use crate::status::Status;
use crate::stop::Stop;

fn change(sequence: u64, history: &str) -> Change {
    let line = json!({
        "cursor": format!("{sequence}-0/1~{history}"), "id": format!("{sequence}-0"), "change": 1, "kind": "reserve",
        "at": "2026-11-30T00:00:00Z", "reservation": format!("r{sequence}"),
    });
    Change::parse(&line.to_string()).unwrap()
}

fn page(sequences: impl IntoIterator<Item = u64>, history: &str) -> Page {
    let changes: Vec<Change> = sequences.into_iter().map(|sequence| change(sequence, history)).collect();
    let cursor = changes.last().unwrap().cursor.clone();
    Page { changes, cursor }
}

fn status() -> Arc<Status> {
    Arc::new(Status::new("small", "stdout", "stdout"))
}

/// No signal asks it to end.
fn running() -> Stop {
    let (sender, receiver) = watch::channel(false);
    std::mem::forget(sender);
    Stop::by(receiver)
}

fn sink(from: Option<&str>) -> Stdout<Vec<u8>> {
    Stdout::on(Vec::new(), from, status(), running()).unwrap()
}

fn lines(sink: &Stdout<Vec<u8>>) -> Vec<Value> {
    let text = String::from_utf8(sink.out.lock().unwrap().clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn lines_are_printed_as_they_are() {
    let mut sink = sink(None);
    assert_eq!(sink.position().await, Ok(None));
    sink.deliver(&page(1..=3, "a"), 1).await.unwrap();
    let expected: Vec<Value> = (1..=3).map(|sequence| change(sequence, "a").line).collect();
    assert_eq!(lines(&sink), expected);
    assert_eq!(sink.position().await, Ok(Some("3-0/1~a".to_owned())));
    assert_eq!(sink.status.delivered.load(Relaxed), 3);
}

#[tokio::test]
async fn a_fork_takes_back_the_newest_first_and_goes_on_from_the_common_cursor() {
    let mut sink = sink(None);
    sink.deliver(&page(1..=5, "a"), 1).await.unwrap();
    sink.out.lock().unwrap().clear();
    let new: Vec<Change> = [change(2, "a"), change(3, "a"), change(4, "b")].into();
    assert_eq!(sink.last_known(&new).await, Ok(Some(1)));
    assert_eq!(sink.last_known(&new[2..]).await, Ok(None));
    sink.rescind("3-0/1~a", 1).await.unwrap();
    let lost = |sequence: u64| {
        let mut line = change(sequence, "a").line;
        (line["kind"], line["rescinded"]) = ("rescinded".into(), "reserve".into());
        line
    };
    assert_eq!(lines(&sink), [lost(5), lost(4)]);
    assert_eq!(sink.position().await, Ok(Some("3-0/1~a".to_owned())));
    assert_eq!(sink.last_known(&[change(4, "a")]).await, Ok(None), "what was taken back is not known");
    assert_eq!(sink.status.rescinded.load(Relaxed), 2);
}

#[tokio::test]
async fn what_is_not_remembered_is_not_silently_kept() {
    let mut from = sink(Some("7-0/1~a"));
    from.deliver(&page(8..=9, "a"), 1).await.unwrap();
    from.out.lock().unwrap().clear();
    let error = from.rescind("6-0/1~a", 1).await.unwrap_err();
    assert!(
        matches!(&error, SinkError::Fatal(Failure::No(text)) if text.contains("--from 6-0/1~a")),
        "{error}"
    );
    assert_eq!(lines(&from).len(), 2, "what is remembered is taken back all the same");

    assert_eq!(sink(Some("7-0/1~a")).last_known(&[change(7, "a")]).await, Ok(Some(0)), "where it began");

    let mut long = sink(None);
    let newest = REMEMBERED_MAX as u64 + 10;
    long.deliver(&page(1..=newest, "a"), 1).await.unwrap();
    assert_eq!(long.printed.len(), REMEMBERED_MAX);
    assert_eq!(long.last_known(&[change(9, "a"), change(10, "a")]).await, Ok(Some(1)));
    assert_eq!(long.last_known(&[change(9, "a"), change(10, "b")]).await, Ok(None));
    long.rescind("10-0/1~a", 1).await.unwrap();
    long.deliver(&page(11..=newest, "b"), 1).await.unwrap();
    assert!(matches!(long.rescind("9-0/1~a", 1).await, Err(SinkError::Fatal(Failure::No(_)))));
}

struct Broken(ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_has_gone_away_is_no_failure_and_a_full_disk_is() {
    let mut gone = Stdout::on(Broken(ErrorKind::BrokenPipe), None, status(), running()).unwrap();
    assert_eq!(gone.deliver(&page(1..=1, "a"), 1).await, Err(SinkError::ReaderGone));
    let mut full = Stdout::on(Broken(ErrorKind::StorageFull), None, status(), running()).unwrap();
    assert!(matches!(full.deliver(&page(1..=1, "a"), 1).await, Err(SinkError::Fatal(Failure::Outside(_)))));
}

/// Takes nothing until it is let go.
struct Stalled(std::sync::mpsc::Receiver<()>);

impl Write for Stalled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_does_not_keep_the_program_from_its_end() {
    let (go_on, waits) = std::sync::mpsc::channel();
    let (stop, asked) = watch::channel(false);
    let mut sink = Stdout::on(Stalled(waits), None, status(), Stop::by(asked)).unwrap();
    stop.send_replace(true);
    assert_eq!(sink.deliver(&page(1..=1, "a"), 1).await, Err(SinkError::ReaderGone));
    drop(go_on);
}
