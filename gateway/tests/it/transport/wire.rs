//! Tests requests as bytes: too large, too slow, badly framed, broken off. Each is answered or
//! closed, and changes nothing.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::check::{balanced, refused};
use testkit::definition::{open, small, white};
use testkit::eventually;
use testkit::gateway::{Gateway, token};
use testkit::http::Raw;
use testkit::redis::Redis;

fn tap(key: &str, further: &str) -> String {
    format!(
        "POST /v1/sales/small/reservations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         idempotency-key: {key}\r\ncontent-type: application/json\r\n{further}\r\n",
        token("alice")
    )
}

#[tokio::test]
async fn an_oversized_target_or_head_is_refused() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    for (url, path) in [
        (&gateway.url, "/v1/sales/small?"),
        (&gateway.url, "/v1/nothing/"),
        (&gateway.ops_url, "/livez?"),
        (&gateway.ops_url, "/admin/v1/sales/"),
    ] {
        for length in [2_049, 30_000] {
            let target = format!("{path}{}", "x".repeat(length - path.len()));
            let get = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            let reply = Raw::connect(url).await.send(get).await.answer().await;
            refused(&reply, 414, "uri-too-long", &[]);
        }
        // One byte less passes the size limit.
        let target = format!("{path}{}", "x".repeat(2_048 - path.len()));
        let get = format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let reply = Raw::connect(url).await.send(get).await.answer().await;
        assert!([200, 400, 401, 404].contains(&reply.status), "{}", reply.text);
    }
    let long = format!("x: {}\r\n", "y".repeat(17_000));
    let many = (0..70).map(|n| format!("x{n}: y\r\n")).collect::<String>();
    for head in [&long, &many] {
        for url in [&gateway.url, &gateway.ops_url] {
            let get = format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{head}\r\n");
            let reply = Raw::connect(url).await.send(get).await.answer().await;
            refused(&reply, 431, "headers-too-large", &[]);
        }
        let request = tap("k", &format!("connection: close\r\ncontent-length: 0\r\n{head}"));
        let reply = Raw::connect(&gateway.url).await.send(request).await.answer().await;
        refused(&reply, 431, "headers-too-large", &[]);
    }
    // Far beyond the limit the connection ends; the status still gives the reason.
    let huge = format!("x: {}\r\n", "y".repeat(200_000));
    let swarm = (0..2_000).map(|n| format!("x{n}: y\r\n")).collect::<String>();
    for head in [huge, swarm] {
        let request = tap("k", &head);
        let reply = Raw::connect(&gateway.url).await.send(request).await.answer().await;
        assert!([431, 0].contains(&reply.status), "{} {}", reply.status, reply.text);
    }
    assert_eq!(balanced(&gateway).await, before);
}

#[tokio::test]
async fn a_body_that_takes_longer_than_a_tap_may_wait_costs_its_buyer_nothing() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--tap-deadline-ms", "1000"]).await;
    open(&gateway, &small()).await;
    let body = white().to_string();
    let (begun, rest) = body.split_at(body.len() / 2);
    let mut raw = Raw::connect(&gateway.url).await;
    raw.send(tap("k", &format!("connection: close\r\ncontent-length: {}\r\n", body.len()))).await;
    raw.send(begun).await;
    let since = Instant::now();
    eventually("a complete tap would have had its answer", || async {
        (since.elapsed() > Duration::from_millis(1500)).then_some(())
    })
    .await;
    let reply = raw.send(rest).await.answer().await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    balanced(&gateway).await;
}

#[tokio::test]
async fn a_silent_connection_has_less_time_than_a_begun_request() {
    let redis = Redis::start();
    let options = ["--first-byte-timeout-ms", "300", "--header-timeout-ms", "600000"];
    let gateway = Gateway::start_with(&redis, &options).await;
    let mut begun = Raw::connect(&gateway.url).await;
    begun.send("GET /v1/time HTTP/1.1\r\n").await;
    assert_eq!(Raw::connect(&gateway.url).await.rest().await, b"");
    let reply = begun.send("host: x\r\nconnection: close\r\n\r\n").await.answer().await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn a_slow_head_or_body_gets_408_and_silence_is_closed() {
    let redis = Redis::start();
    let options =
        ["--first-byte-timeout-ms", "2000", "--header-timeout-ms", "1000", "--body-timeout-ms", "300"];
    let gateway = Gateway::start_with(&redis, &options).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    for url in [&gateway.url, &gateway.ops_url] {
        let silent = Raw::connect(url).await.rest().await;
        assert_eq!(silent, b"", "a silent connection gets no answer");
        for begun in ["G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nhost: x\r\nx:"] {
            let reply = Raw::connect(url).await.send(begun).await.answer().await;
            refused(&reply, 408, "request-timeout", &[]);
        }
    }
    let body = white().to_string();
    for further in ["content-length: 100\r\n", "transfer-encoding: chunked\r\n"] {
        for begun in ["", &format!("{:x}\r\n{body}", body.len())] {
            let mut raw = Raw::connect(&gateway.url).await;
            let reply = raw.send(tap("k", further)).await.send(begun).await.answer().await;
            refused(&reply, 408, "request-timeout", &[]);
        }
    }
    assert_eq!(balanced(&gateway).await, before);
}

#[tokio::test]
async fn a_body_that_is_badly_framed_or_breaks_off_does_nothing() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let before = balanced(&gateway).await;
    let body = white().to_string();
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    for (further, text) in [
        ("transfer-encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("transfer-encoding: chunked\r\n", format!("{chunk}junk")),
        ("transfer-encoding: chunked\r\n", format!("ffffffffffffffffff\r\n{body}")),
        ("transfer-encoding: chunked\r\n", format!("-1\r\n{body}\r\n0\r\n\r\n")),
    ] {
        let mut raw = Raw::connect(&gateway.url).await;
        let reply = raw.send(tap("k", further)).await.send(&text).await.answer().await;
        refused(&reply, 400, "invalid-request", &[]);
    }
    // A head that HTTP does not allow: refused by number, and closed.
    for further in [
        "content-length: x\r\n",
        "content-length: -1\r\n",
        "content-length: 10\r\ncontent-length: 20\r\n",
        "transfer-encoding: gzip\r\n",
        "bad header\r\n",
        "x: \0\r\n",
    ] {
        let mut raw = Raw::connect(&gateway.url).await;
        let reply = raw.send(tap("k", further)).await.send(&body).await.answer().await;
        assert_eq!(reply.status, 400, "{further:?}: {}", reply.text);
    }
    for head in
        ["GET\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"]
    {
        let reply = Raw::connect(&gateway.url).await.send(head).await.answer().await;
        assert!([400, 505, 0].contains(&reply.status), "{head:?}: {}", reply.status);
    }
    // Announced longer than it comes.
    for (further, text) in
        [("content-length: 1000\r\n", body.clone()), ("transfer-encoding: chunked\r\n", chunk.clone())]
    {
        let mut raw = Raw::connect(&gateway.url).await;
        raw.send(tap("k", further)).await.send(&text).await.half_close().await;
        let reply = raw.answer().await;
        assert!([400, 0].contains(&reply.status), "{}", reply.text);
    }
    // A body too large by its Content-Length, and a chunked one.
    let announced = tap("k", "content-length: 16385\r\n");
    let reply = Raw::connect(&gateway.url).await.send(announced).await.answer().await;
    refused(&reply, 413, "body-too-large", &[]);
    let mut raw = Raw::connect(&gateway.url).await;
    raw.send(tap("k", "transfer-encoding: chunked\r\nconnection: close\r\n")).await;
    let reply = raw.send(format!("5000\r\n{}\r\n0\r\n\r\n", " ".repeat(0x5000))).await.answer().await;
    refused(&reply, 413, "body-too-large", &[]);
    assert_eq!(balanced(&gateway).await, before);

    // Well framed, in chunks and with a trailer, it wins.
    let mut raw = Raw::connect(&gateway.url).await;
    raw.send(tap("k", "transfer-encoding: chunked\r\nconnection: close\r\n")).await;
    let reply = raw.send(format!("{chunk}0\r\nx: y\r\n\r\n")).await.answer().await;
    assert_eq!(reply.status, 201, "{}", reply.text);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    let close = "connection: close\r\n";
    let time = |further: &str| format!("GET /v1/time HTTP/1.1\r\nhost: x\r\n{further}\r\n");
    let sale = "GET /v1/sales/none HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut raw = Raw::connect(&gateway.url).await;
    raw.send(format!("{}{sale}{}", time(""), time(close))).await;
    let text = String::from_utf8(raw.rest().await).unwrap();
    let answers: Vec<&str> = text.matches("HTTP/1.1 200").chain(text.matches("HTTP/1.1 404")).collect();
    assert_eq!(answers.len(), 3, "{text}");
    let missing = text.find("HTTP/1.1 404").unwrap();
    assert!(text.find("HTTP/1.1 200").unwrap() < missing && missing < text.rfind("HTTP/1.1 200").unwrap());
}

#[tokio::test]
async fn a_tap_outlives_its_connection() {
    let redis = Redis::start();
    let gateway = Gateway::start(&redis).await;
    open(&gateway, &small()).await;
    let body = white().to_string();
    let request = tap("k", &format!("content-length: {}\r\n", body.len()));
    // Sent completely, then closed: it may be decided or not, but a retry with the key shows it.
    for _ in 0..20 {
        let mut raw = Raw::connect(&gateway.url).await;
        raw.send(&request).await.send(&body).await;
        drop(raw);
    }
    let received = eventually("the ledger has an answer for that key", || async {
        let reply = gateway.reserve("alice", "k", &white()).await;
        matches!(reply.status, 200 | 201).then_some(reply)
    })
    .await;
    let list = gateway.get_as("alice", "/v1/sales/small/reservations").await;
    assert_eq!(list.json["reservations"][0]["id"], received.json["id"]);
    let audit = gateway.audit().await;
    assert_eq!((&audit["verdict"], &audit["reservations"]["held"]), (&json!("balanced"), &json!(1)));
}

#[tokio::test]
async fn connections_over_the_cap_get_an_honest_503() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--workers", "1", "--connections-max", "2"]).await;
    let get = "GET /v1/time HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut retained = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::connect(&gateway.url).await;
        let head = raw.send(get).await.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        retained.push(raw);
    }
    let reply = Raw::connect(&gateway.url).await.answer().await;
    refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    // A connection that ends makes room for another.
    drop(retained.pop());
    eventually("there is room for a connection", || async {
        let close = "GET /v1/time HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let reply = Raw::connect(&gateway.url).await.send(close).await.answer().await;
        (reply.status == 200).then_some(())
    })
    .await;
}
