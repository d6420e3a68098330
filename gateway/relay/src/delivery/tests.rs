//! Unit tests of `delivery.rs`: a gateway whose answers a test writes, and a sink that remembers what it got.

use std::collections::VecDeque;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

/// Pages of lines and the newest sequence, or the problem of a fork.
type Answers = VecDeque<Result<(Vec<String>, u64), &'static str>>;

fn line(sequence: u64, place: u64, places: u64, history: &str) -> String {
    format!(
        r#"{{"cursor":"{sequence}-0/{place}~{history}","id":"{sequence}-0","change":{place},"changes":{places},"kind":"reserve","at":"2026-11-30T00:00:00Z"}}"#
    )
}

fn changes(lines: &[String]) -> Vec<Change> {
    lines.iter().map(|line| Change::parse(line).unwrap()).collect()
}

/// Grants every lease; gives these answers to those who read the journal, one after the other.
async fn gateway(mut answers: Answers) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (status, sequence, body) = match request(&mut stream).await.starts_with("GET") {
                false => ("200 OK", 0, r#"{"fence":1}"#.to_owned()),
                true => match answers.pop_front().expect("a read that the test awaits") {
                    Ok((lines, sequence)) => {
                        ("200 OK", sequence, lines.into_iter().map(|line| line + "\n").collect())
                    }
                    Err(cursor) => {
                        let problem =
                            serde_json::json!({"type": "/problems/journal-forked", "cursor": cursor});
                        ("409 Conflict", 0, problem.to_string())
                    }
                },
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nlaunchgate-sequence: {sequence}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}")
}

/// A whole request, which has a short body or none.
async fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    loop {
        let count = stream.read(&mut bytes).await.unwrap();
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap())
        });
        if body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}

/// What it got, and what it took back.
#[derive(Default)]
struct Remembers {
    cursor: Option<String>,
    known: Vec<Change>,
    delivered: Vec<String>,
    pages: usize,
    rescinded: Vec<String>,
}

impl Sink for Remembers {
    async fn position(&mut self) -> Result<Option<String>, SinkError> {
        Ok(self.cursor.clone())
    }

    async fn deliver(&mut self, page: &Page, _fence: u64) -> Result<(), SinkError> {
        self.delivered.extend(page.changes.iter().map(|change| change.cursor.clone()));
        self.cursor = Some(page.cursor.clone());
        self.pages += 1;
        Ok(())
    }

    async fn last_known(&mut self, changes: &[Change]) -> Result<Option<usize>, SinkError> {
        Ok(changes.iter().rposition(|change| self.known.contains(change)))
    }

    async fn rescind(&mut self, common: &str, _fence: u64) -> Result<(), SinkError> {
        self.rescinded.push(common.to_owned());
        self.cursor = Some(common.to_owned());
        Ok(())
    }
}

/// A delivery from the gateway at this address.
fn delivery(url: &str, token: &tempfile::NamedTempFile, sink: Remembers, stop: Stop) -> Delivery<Remembers> {
    std::fs::write(token.path(), "secret").unwrap();
    let tls = crate::trust::tls(None).unwrap();
    let feed = Feed::new(url, "small", token.path().to_owned(), tls).unwrap();
    let status = Arc::new(Status::new("small", "orders", "stdout"));
    Delivery {
        leases: Leases::new(feed.clone(), status.clone(), Duration::from_secs(60)),
        feed,
        sink,
        filter: Filter::default(),
        from: None,
        until_caught_up: true,
        status,
        stop,
        troubles: Troubles::default(),
        sink_backoff: Backoff::default(),
        is_known: false,
        cut_at: None,
    }
}

/// Delivers all there is to this sink.
async fn deliver(sink: Remembers, answers: Answers) -> Remembers {
    let token = tempfile::NamedTempFile::new().unwrap();
    let (_stop, asked) = watch::channel(false);
    let mut delivery = delivery(&gateway(answers).await, &token, sink, Stop::by(asked));
    tokio::time::timeout(testkit::PATIENCE, delivery.run()).await.unwrap().unwrap();
    assert!(!delivery.status.has_lease.load(std::sync::atomic::Ordering::Relaxed));
    delivery.sink
}

#[tokio::test]
async fn a_sink_that_answers_again_while_the_sale_is_missing_has_no_trouble_any_more() {
    let token = tempfile::NamedTempFile::new().unwrap();
    let (_stop, asked) = watch::channel(true);
    let sink = Remembers { cursor: Some("6-0/1~a".to_owned()), ..Remembers::default() };
    // Nothing listens there: only the sink is asked.
    let mut delivery = delivery("http://127.0.0.1:9", &token, sink, Stop::by(asked));
    delivery.until_caught_up = false;
    delivery.troubles.report(SINK, "the database is down");
    let _ = delivery.sink_backoff.pause();
    delivery.after_sale_missing().await.unwrap();
    assert!(delivery.is_known && !delivery.troubles.has(SINK));
    assert!(!delivery.sink_backoff.reset(), "the next pause is a short one");
    assert!(delivery.troubles.has(SALE));
}

#[tokio::test]
async fn the_last_common_change_is_found_behind_some_that_the_sink_does_not_have() {
    let known = changes(&[line(4, 1, 1, "a"), line(5, 1, 1, "a"), line(6, 1, 1, "a")]);
    let sink = Remembers { cursor: Some("6-0/1~a".to_owned()), known, ..Remembers::default() };
    let answers = [
        Err("1-0/1~a"),
        Ok((vec![line(2, 1, 1, "a")], 5)),
        // Replicas lack it yet: for the rest of the page, and for the next one.
        Ok((vec![], 5)),
        Ok((vec![], 5)),
        Ok((vec![line(3, 1, 1, "a"), line(4, 1, 1, "a"), line(5, 1, 2, "b")], 5)),
        Ok((vec![], 5)),
        Ok((vec![line(5, 2, 2, "b")], 5)),
        Ok((vec![], 5)),
        // It goes on from the common one.
        Ok((vec![line(5, 1, 2, "b"), line(5, 2, 2, "b")], 5)),
        Ok((vec![], 5)),
    ];
    let sink = deliver(sink, answers.into()).await;
    assert_eq!(sink.rescinded, ["4-0/1~a"]);
    assert_eq!(sink.delivered, ["5-0/1~b", "5-0/2~b"]);
}

#[tokio::test]
async fn the_search_ends_where_the_sink_is_and_without_a_known_change_at_the_gateways_cursor() {
    let sink = Remembers { cursor: Some("3-0/1~a".to_owned()), ..Remembers::default() };
    let new = || vec![line(2, 1, 1, "b"), line(3, 1, 1, "b")];
    let answers = [Err("1-0/1~a"), Ok((new(), 9)), Ok((vec![], 9)), Ok((new(), 3)), Ok((vec![], 3))];
    let sink = deliver(sink, answers.into()).await;
    assert_eq!((sink.rescinded, sink.delivered.len()), (vec!["1-0/1~a".to_owned()], 2));
}

#[tokio::test]
async fn it_is_not_caught_up_in_the_middle_of_an_entry() {
    let answers = [
        Ok((vec![line(7, 1, 2, "a")], 7)),
        Ok((vec![], 7)),
        Ok((vec![line(7, 2, 2, "a")], 7)),
        Ok((vec![], 7)),
    ];
    let sink = deliver(Remembers::default(), answers.into()).await;
    assert_eq!(sink.delivered, ["7-0/1~a", "7-0/2~a"]);
}

#[tokio::test]
async fn what_several_answers_have_is_one_page() {
    let one = |sequence| vec![line(sequence, 1, 1, "a")];
    let answers = [Ok((one(7), 8)), Ok((one(8), 9)), Ok((one(9), 9)), Ok((vec![], 9))];
    let sink = deliver(Remembers::default(), answers.into()).await;
    assert_eq!((sink.delivered.len(), sink.pages), (3, 1));
}

#[tokio::test]
async fn what_was_read_before_a_fork_is_delivered_and_then_the_fork_is_found() {
    let fork = || Err("7-0/1~a");
    let answers = [Ok((vec![line(7, 1, 1, "a")], 9)), fork(), fork(), Ok((vec![], 7))];
    let sink = deliver(Remembers::default(), answers.into()).await;
    assert_eq!((sink.delivered, sink.rescinded), (vec!["7-0/1~a".to_owned()], vec!["7-0/1~a".to_owned()]));
}
