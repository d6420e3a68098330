//! Tests that a request has one id, in its answer, its log lines and a 500's body, and one trace.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use gateway::domain::decision::Shed;
use gateway::domain::problem;
use gateway::http::drain::Drain;
use gateway::http::lifetime::LifetimeLimits;
use gateway::http::peer::Peer;
use gateway::http::respond::Answer;
use gateway::http::server::{self, ConnectionLimits, Handler, ListenerSettings};
use gateway::telemetry::labels::{Outcome, Route};
use gateway::telemetry::record::{AnswerClass, Connections, Recorder};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::check::refused;
use testkit::definition::{known, open, small, white};
use testkit::gateway::{Gateway, OPS_TOKEN, send, token};
use testkit::http::Raw;
use testkit::link::{Fault, Link};
use testkit::redis::Redis;
use testkit::{PATIENCE, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn is_own(id: &str) -> bool {
    id.len() == 16 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[tokio::test]
async fn every_answer_of_both_listeners_has_an_id_of_its_own() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--cors-origins", "https://shop.example"]).await;
    open(&gateway, &small()).await;
    let mut ids = BTreeSet::new();
    let taps = "/v1/sales/small/reservations";
    let preflight = gateway
        .request(Method::OPTIONS, taps)
        .header("origin", "https://shop.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "traceparent");
    let etag = gateway.get("/v1/sales/small").await.header("etag").to_owned();
    let replies = [
        gateway.get("/v1/time").await,
        gateway.get("/v1/sales/small").await,
        send(gateway.request(Method::GET, "/v1/sales/small").header("if-none-match", etag)).await,
        gateway.get("/nothing").await,
        gateway.reserve("alice", "k", &white()).await,
        gateway.reserve("alice", "k", &white()).await,
        gateway.reserve("alice", "k2", &white()).await,
        send(gateway.request(Method::DELETE, taps)).await,
        send(gateway.request(Method::HEAD, "/v1/time")).await,
        send(preflight).await,
        gateway.ops_get("/livez").await,
        gateway.ops_get("/metrics").await,
        gateway.ops_get("/admin/v1/sales/small").await,
        gateway.ops_get("/admin/v1/sales/none").await,
        gateway.action("pause", &json!({})).await,
    ];
    let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses, [200, 200, 304, 404, 201, 200, 409, 405, 200, 204, 200, 200, 200, 404, 200]);
    for reply in &replies {
        let id = reply.header("x-request-id");
        assert!(is_own(id), "{reply:?}");
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert_eq!(reply.header("traceresponse"), "", "the request has no traceparent");
    }
    let allowed = replies[9].header("access-control-allow-headers").to_lowercase();
    assert!(allowed.contains("traceparent") && allowed.contains("tracestate"), "{allowed}");

    // What never came to a request has one, too.
    let gateway = Gateway::start_with(&redis, &["--connections-max", "1", "--workers", "1"]).await;
    let mut first = Raw::connect(&gateway.url).await;
    first.send("GET /v1/time HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(first.head().await.contains("x-request-id: "));
    let mut second = Raw::connect(&gateway.url).await;
    let over = second.send("GET /v1/time HTTP/1.1\r\nhost: x\r\n\r\n").await.answer().await;
    assert_eq!(over.status, 503);
    assert!(is_own(over.header("x-request-id")));
}

#[tokio::test]
async fn a_request_id_is_taken_from_trusted_proxies_only_and_a_trace_from_any_client() {
    let redis = Redis::start();
    let trusting = Gateway::start_with(&redis, &["--trusted-proxies", "127.0.0.1"]).await;
    let other = Gateway::start(&redis).await;
    open(&trusting, &small()).await;
    known(&other, "small").await;
    let ask = async |gateway: &Gateway, headers: &[(&str, &str)]| {
        let request = gateway.request(Method::GET, "/v1/time");
        let reply =
            send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await;
        assert_eq!(reply.status, 200);
        (reply.header("x-request-id").to_owned(), reply.header("traceresponse").to_owned())
    };
    let theirs = [("x-request-id", "edge-7.f_A"), ("traceparent", PARENT)];
    let (id, response) = ask(&trusting, &theirs).await;
    assert_eq!(id, "edge-7.f_A");
    let span = response.strip_prefix(&format!("00-{TRACE}-")).unwrap().strip_suffix("-01").unwrap();
    assert!(is_own(span) && span != "b7ad6b7169203331", "{response}");
    let (id, response) = ask(&other, &theirs).await;
    assert!(is_own(&id));
    assert_eq!(response, format!("00-{TRACE}-{id}-01"), "our id is that of our span");
    for bad in ["a b", "x\";drop", &"a".repeat(65)] {
        assert!(is_own(&ask(&trusting, &[("x-request-id", bad)]).await.0), "{bad}");
    }
    for bad in [&PARENT.to_uppercase(), &PARENT[..54], &format!("{PARENT}-x"), "00", ""] {
        assert_eq!(ask(&other, &[("traceparent", bad)]).await.1, "", "{bad}");
    }
    assert_eq!(ask(&other, &[("traceparent", PARENT), ("traceparent", PARENT)]).await.1, "");
}

/// The lines of a log of JSON.
fn lines(log: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    // The last one may be half written.
    text.split_inclusive('\n').filter(|text| text.ends_with('\n')).map(line).collect()
}

/// Waits until the lines of a request have one like this, and asserts that there is no other: a thread of its own writes the log.
async fn logged_once(log: &std::path::Path, id: &str, is_it: impl Fn(&Value) -> bool) {
    let written = eventually("the line is written", || async {
        let written: Vec<Value> = lines(log).into_iter().filter(|line| line["request_id"] == id).collect();
        written.iter().any(&is_it).then_some(written)
    });
    let written = written.await;
    assert_eq!(written.iter().filter(|line| is_it(line)).count(), 1, "{written:?}");
}

#[tokio::test]
async fn every_line_of_a_request_has_its_id_and_no_other_line_has_one() {
    let redis = Redis::start();
    let proxy = Link::to(&redis);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let options = ["--log-format", "json", "--redis-answer-timeout-ms", "500"];
    let gateway = Gateway::spawn_logging(proxy.url(), &options, &log);
    gateway.ready().await;
    open(&gateway, &small()).await;
    // An operator action writes a line with its author.
    let action = gateway.action("resume", &json!({"reason": "a test"})).await;
    let is_action = |line: &Value| {
        line["fields"]["message"] == "operator action done" && line["fields"]["actor"] == "ops"
    };
    logged_once(&log, action.header("x-request-id"), is_action).await;
    // A read that Redis does not answer is logged, with the trace.
    proxy.set(Fault::StallAnswers);
    let path = "/v1/sales/small/reservations";
    let read = gateway.request(Method::GET, path).bearer_auth(token("alice")).header("traceparent", PARENT);
    let failed = send(read).await;
    assert_eq!(failed.problem(), "temporary-reduced-capacity", "{}", failed.text);
    proxy.set(Fault::None);
    let is_read = |line: &Value| {
        line["trace_id"] == TRACE && line["fields"]["message"] == "a buyer's reservations could not be read"
    };
    logged_once(&log, failed.header("x-request-id"), is_read).await;
    // Lines of the journal consumer, the sweeper and the start have no id.
    let all = lines(&log);
    let known = [action.header("x-request-id"), failed.header("x-request-id")];
    let of_absent = |message: &str| {
        let found =
            all.iter().find(|line| line["fields"]["message"].as_str().is_some_and(|m| m.contains(message)));
        assert_eq!(
            found.unwrap_or_else(|| panic!("no line {message}"))["request_id"],
            Value::Null,
            "{message}"
        );
    };
    of_absent("listening");
    of_absent("following");
    let mine = all.iter().filter(|line| known.iter().any(|id| line["request_id"] == *id));
    let strangers = mine.filter(|line| line["target"].as_str().is_some_and(|t| t.contains("sweeper")));
    assert_eq!(strangers.count(), 0);
}

#[tokio::test]
async fn a_line_of_text_has_it_at_its_end() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let gateway = Gateway::spawn_logging(&redis.url(), &[], &log);
    gateway.ready().await;
    open(&gateway, &small()).await;
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let pause = client
        .post(format!("{}/admin/v1/sales/small/pause", gateway.ops_url))
        .bearer_auth(OPS_TOKEN)
        .header("traceparent", PARENT)
        .header("x-request-id", "not-from-a-proxy");
    let reply = send(pause).await;
    let id = reply.header("x-request-id");
    assert!(is_own(id));
    assert_eq!(reply.header("traceresponse"), format!("00-{TRACE}-{id}-01"));
    let text = eventually("the line is written", || async {
        Some(std::fs::read_to_string(&log).unwrap()).filter(|text| text.contains("operator action done"))
    })
    .await;
    let line = text.lines().find(|line| line.contains("operator action done")).unwrap();
    assert!(line.ends_with(&format!(" request_id={id} trace_id={TRACE}")), "{line}");
    assert!(!text.contains("not-from-a-proxy"));
    let of_absent = text.lines().find(|line| line.contains("listening")).unwrap();
    assert!(!of_absent.contains("request_id"), "{of_absent}");
}

/// A handler with a bug.
struct Bug(Recorder);

impl Handler for Bug {
    const LINGER_BYTES_MAX: usize = 0;

    async fn answer(&self, _: &Peer, parts: &Parts, _: Incoming, _: Instant) -> Answer {
        panic!("at {}", parts.uri)
    }

    fn connections(&self) -> &Connections {
        &self.0.connections
    }

    fn answered(&self, _: &Parts, answer: &Answer, took: Duration) {
        self.0.answered(Route::None, answer.body().class, took);
    }

    fn refused(&self, _: Result<AnswerClass, Shed>) {}
}

#[tokio::test]
async fn a_bug_costs_one_answer_which_is_counted_and_has_its_id_in_head_and_body() {
    let local = tokio::task::LocalSet::new();
    let work = async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limits = ConnectionLimits {
            first_byte_timeout: PATIENCE,
            header_timeout: PATIENCE,
            idle_timeout: PATIENCE,
            lifetime: LifetimeLimits::default(),
        };
        let bug = Rc::new(Bug(Recorder::default()));
        let (_phase, drain) = Drain::new();
        tokio::task::spawn_local(server::serve(
            listener,
            bug.clone(),
            limits,
            ListenerSettings::default(),
            drain,
        ));
        for n in 1..=2 {
            let mut raw = Raw::connect(&url).await;
            let tap = "GET /v1/time HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
            let reply = raw.send(tap).await.answer().await;
            refused(&reply, 500, "internal", &["request_id"]);
            assert!(is_own(reply.header("x-request-id")));
            assert_eq!(reply.json["request_id"], reply.header("x-request-id"));
            assert_eq!(bug.0.requests(Route::None as usize, Outcome::of(&problem::INTERNAL)), n);
        }
    };
    local.run_until(work).await;
}
