//! Tests the corpus: each request gets the right answer, and its hidden request never runs.

use testkit::PATIENCE;
use testkit::check::refused;
use testkit::definition::white;
use testkit::gateway::Gateway;
use testkit::http::Raw;

use crate::hostile::Stage;
use crate::hostile::corpus::{CHUNKS, CODINGS, Case, End, FIELDS, LENGTHS, LINES};
use crate::hostile::honest::{tap_head, whole_tap};

/// The buyer of a hidden tap.
const HIDDEN: &str = "hidden";

/// With the placeholders filled in; the tap is by `sub`.
fn filled(text: &str, sub: &str) -> String {
    let (body, hidden) = (white().to_string(), whole_tap(HIDDEN, "hidden"));
    text.replace("{tap}", &tap_head(sub, "k"))
        .replace("{get}", "GET /v1/time HTTP/1.1\r\nhost: x\r\n")
        .replace("{n}", &body.len().to_string())
        .replace("{x}", &format!("{:x}", body.len()))
        .replace("{h}", &hidden.len().to_string())
        .replace("{hidden}", &hidden)
        .replace("{body}", &body)
}

/// An answer's status, and whether it is the gateway's (hyper's own have no body).
type StatusAndOrigin = (u16, bool);

/// All answers in what a server sent.
fn answers(mut bytes: &[u8]) -> Vec<StatusAndOrigin> {
    let mut received = Vec::new();
    while let Some(head) = memchr::memmem::find(bytes, b"\r\n\r\n") {
        let text = std::str::from_utf8(&bytes[..head]).unwrap().to_ascii_lowercase();
        assert!(text.starts_with("http/1."), "no answer: {text}");
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |n| n.parse::<usize>().unwrap());
        received.push((status, length > 0));
        bytes = &bytes[head + 4 + length..];
    }
    assert!(bytes.is_empty(), "half an answer: {}", String::from_utf8_lossy(bytes));
    received
}

/// A last request, which closes: its answer shows that the connection was still in sync.
const PROBE: &str = "GET /v1/sales/none HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// All that comes back for a case, up to the end of the connection.
async fn ask(gateway: &Gateway, (name, text, ..): &Case, sub: &str) -> Vec<StatusAndOrigin> {
    let mut raw = Raw::connect(&gateway.url).await;
    raw.send(filled(text, sub)).await.send(PROBE).await;
    let rest = tokio::time::timeout(PATIENCE, raw.rest()).await;
    answers(&rest.unwrap_or_else(|_| panic!("{name}: the connection does not end")))
}

/// Answers so far, by the gateway's own count.
async fn counted(gateway: &Gateway) -> u64 {
    let text = gateway.ops_get("/metrics").await.text;
    let lines = text.lines().filter(|line| line.starts_with("launchgate_requests_total{"));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_read_in_two_ways_is_refused_and_hides_nothing() {
    let stage = Stage::set(&[]).await;
    let mut wrong = Vec::new();
    // Before the honest buyers come: what is counted is what was sent.
    let before = counted(&stage.gateway).await;
    let (mut received, mut won) = (0, 0);
    for (kind, cases) in
        [("lengths", LENGTHS), ("chunks", CHUNKS), ("codings", CODINGS), ("fields", FIELDS), ("lines", LINES)]
    {
        for (n, case) in cases.iter().enumerate() {
            let (name, _, statuses, end) = case;
            let found = ask(&stage.gateway, case, &format!("{kind}-{n}")).await;
            received += found.len() as u64;
            won += found.iter().filter(|(status, _)| *status == 201).count();
            let mut wanted = statuses.to_vec();
            wanted.extend((*end == End::Open).then_some(404));
            let found: Vec<u16> = found.into_iter().map(|(status, _)| status).collect();
            if found != wanted {
                wrong.push(format!("{kind}, {name}: {found:?} instead of {wanted:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(counted(&stage.gateway).await - before, received, "what was answered is all that was done");
    let audit = stage.gateway.audit().await;
    assert_eq!(audit["reservations"]["held"], won);
    let list = stage.gateway.get_as(HIDDEN, "/v1/sales/small/reservations").await;
    assert_eq!(list.json["reservations"], serde_json::json!([]), "{}", list.text);

    // Again while others reserve: nothing of theirs goes astray.
    let honest = stage.honest().await;
    for cases in [LENGTHS, CHUNKS, CODINGS, FIELDS, LINES] {
        let asked = cases.iter().map(|case| ask(&stage.gateway, case, "buyer"));
        futures_util::future::join_all(asked).await;
    }
    honest.end(&stage.gateway).await;
    let list = stage.gateway.get_as(HIDDEN, "/v1/sales/small/reservations").await;
    assert_eq!(list.json["reservations"], serde_json::json!([]), "{}", list.text);
}

#[tokio::test]
async fn the_ops_listener_refuses_them_as_well() {
    let stage = Stage::set(&[]).await;
    for head in ["", "host: x\r\nhost: y\r\n", "host: x\r\ntransfer-encoding: gzip, chunked\r\n"] {
        let mut raw = Raw::connect(&stage.gateway.ops_url).await;
        let reply = raw.send(format!("GET /livez HTTP/1.1\r\n{head}\r\n")).await.answer().await;
        refused(&reply, 400, "invalid-request", &[]);
    }
}
