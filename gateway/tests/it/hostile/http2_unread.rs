//! HTTP/2 clients that do not read their answers: each answer has its own clock, and what is unsent has a limit.

use serde_json::json;
use testkit::definition::{small, with};
use testkit::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, WINDOW_UPDATE, block, frame, request,
    window,
};
use testkit::gateway::{Gateway, OPS_TOKEN};
use testkit::redis::Redis;
use testkit::tls::{Certificate, H2, h2_client, open};
use testkit::{PATIENCE, eventually};

use crate::transport::tls::start;

/// Requests under way on a connection, at most.
const STREAMS: u32 = 120;
/// What the gateway keeps unsent of a connection before it starts no more requests.
const UNSENT_MAX: usize = 512 * 1024;

fn call(method: &str, path: &str, stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&request(method, path)))
}

/// A sale with so many stores that a page of them has some 60 KiB.
fn many_stores() -> serde_json::Value {
    let store = |n| {
        let name = format!("Store {n} {}", "x".repeat(50));
        json!({"id": format!("s{n:03}"), "name": name, "city": "Guangzhou", "capacity": 1})
    };
    let stores: Vec<_> =
        (0..500).map(store).chain([json!({"id": "gz-1", "name": "x", "city": "y"})]).collect();
    with(small(), "/stores", json!(stores))
}

/// How many connections ended so.
async fn ended(gateway: &Gateway, listener: &str, reason: &str) -> f64 {
    let series = format!("connections_ended_total{{listener=\"{listener}\",reason=\"{reason}\"}}");
    gateway.metrics().await.of(&series)
}

#[tokio::test]
async fn an_answer_without_progress_ends_its_connection_whatever_else_happens_there() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &["--workers", "1", "--header-timeout-ms", "1000"]).await;
    let honest = H2::connect(&gateway.url, &h2_client(&cert)).await;
    for (number, bytes_read) in [(1.0, 0), (2.0, 10)] {
        let mut frames = Frames::connect(&gateway.url, &h2_client(&cert)).await;
        frames.shut_window().await;
        frames.send(&call("GET", "/v1/time", 1)).await;
        // A few bytes do not count as progress.
        for _ in 0..bytes_read {
            frames.send(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await;
            assert!(frames.until(|f| f.kind == DATA && f.payload.len() == 1).await.is_some());
        }
        // Requests, answers and PINGs without end.
        let mut stream = 1;
        loop {
            stream += 2;
            frames.send(&[call("HEAD", "/nowhere", stream), frame(PING, 0, 0, &[7; 8])].concat()).await;
            match frames.until(|f| matches!(f.kind, PING | GOAWAY)).await {
                Some(come) if come.kind == PING => assert!(stream < 1_000_000, "never ended"),
                _ => break,
            }
        }
        assert!(frames.until(|_| false).await.is_none(), "and the end");
        eventually("it counts as a slow reader", || async {
            (ended(&gateway, "public", "slow-reader").await == number).then_some(())
        })
        .await;
    }
    assert_eq!(H2::connect(&gateway.url, &h2_client(&cert)).await.get("/v1/time").await.status, 200);
    drop(honest);
}

#[tokio::test]
async fn unsent_answers_have_a_limit_and_what_waits_for_it_is_answered_later() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &["--workers", "1", "--header-timeout-ms", "60000"]).await;
    let h2 = H2::connect(&gateway.url, &h2_client(&cert)).await;
    open(&gateway, &h2, &many_stores()).await;
    let path = "/v1/sales/small/stores?limit=500";
    let page = h2.get(path).await.text.len();
    assert!(page > 40_000, "{page}");
    let mut frames = Frames::connect(&gateway.url, &h2_client(&cert)).await;
    frames.shut_window().await;
    let pages: Vec<u8> = (0..STREAMS).flat_map(|n| call("GET", path, 2 * n + 1)).collect();
    frames.send(&pages).await;
    // All complete requests are answered: the answer to a later PING shows it.
    let most = UNSENT_MAX.div_ceil(page);
    let mut answered = 0;
    let mut pings = 0_u64;
    while answered < most {
        frames.send(&frame(PING, 0, 0, &pings.to_be_bytes())).await;
        while let Some(come) = frames.until(|f| matches!(f.kind, HEADERS | PING)).await {
            if come.kind == PING {
                break;
            }
            answered += 1;
        }
        pings += 1;
        assert!(pings < 2_000, "{answered} answers of {most}");
    }
    assert_eq!(answered, most);
    // A client that reads at last gets everything.
    frames.send(&frame(WINDOW_UPDATE, 0, 0, &0x7000_0000_u32.to_be_bytes())).await;
    frames.send(&window(1 << 20)).await;
    let (mut bytes, mut whole) = (0, 0);
    while whole < STREAMS {
        let come = frames.until(|f| matches!(f.kind, HEADERS | DATA)).await.expect("all answers");
        answered += usize::from(come.kind == HEADERS);
        if come.kind == DATA {
            bytes += come.payload.len();
            whole += u32::from(come.flags & END_STREAM != 0);
        }
    }
    assert_eq!((answered, bytes), (STREAMS as usize, STREAMS as usize * page));
}

#[tokio::test]
async fn headers_that_wait_for_unread_answers_are_bounded_too() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &["--workers", "1", "--header-timeout-ms", "60000"]).await;
    let h2 = H2::connect(&gateway.url, &h2_client(&cert)).await;
    open(&gateway, &h2, &many_stores()).await;
    let mut frames = Frames::connect(&gateway.url, &h2_client(&cert)).await;
    frames.shut_window().await;
    let path = "/v1/sales/small/stores?limit=500";
    let long = "y".repeat(12_000);
    let head = [request("GET", path), vec![("x", long.as_str())]].concat();
    let head = block(&head);
    for n in 0..STREAMS {
        frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * n + 1, &head)).await;
    }
    eventually("some are refused", || async {
        (gateway.metrics().await.of("shed_total{reason=\"unsent\"}") > 0.0).then_some(())
    })
    .await;
    frames.send(&frame(PING, 0, 0, &[7; 8])).await;
    assert!(frames.until(|f| f.kind == PING && f.flags == ACK).await.is_some(), "it goes on");
    let most = (256 * 1024 / long.len()) as f64 + (UNSENT_MAX / 40_000) as f64 + 1.0;
    eventually("all others are refused", || async {
        let refused = gateway.metrics().await.of("shed_total{reason=\"unsent\"}");
        (refused >= f64::from(STREAMS) - most).then_some(())
    })
    .await;
    assert_eq!(h2.get("/v1/time").await.status, 200);
}

#[tokio::test]
async fn a_live_page_that_is_not_read_is_ended() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let options = certificate.options("ops-");
    let options: Vec<&str> =
        options.iter().map(String::as_str).chain(["--header-timeout-ms", "1000"]).collect();
    let gateway = Gateway::spawn(&redis, &options);
    let mut frames = Frames::connect(&gateway.ops_url, &h2_client(&cert)).await;
    frames.shut_window().await;
    let bearer = format!("Bearer {OPS_TOKEN}");
    let head = [request("GET", "/admin/v1/live"), vec![("authorization", bearer.as_str())]].concat();
    frames.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&head))).await;
    assert!(frames.until(|f| f.kind == HEADERS).await.is_some());
    assert!(frames.until(|f| f.kind == GOAWAY).await.is_some());
    assert!(frames.until(|_| false).await.is_none(), "and the end");
}

/// Prints what a hundred such connections cost: `cargo test … -- --ignored --nocapture unread_pages_cost`.
#[tokio::test]
#[ignore = "a measurement"]
async fn unread_pages_cost() {
    const CONNECTIONS: u64 = 100;
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &["--workers", "1", "--limit-address", "off"]).await;
    let h2 = H2::connect(&gateway.url, &h2_client(&cert)).await;
    open(&gateway, &h2, &many_stores()).await;
    let memory = || {
        let text = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = memory();
    let pages: Vec<u8> =
        (0..STREAMS).flat_map(|n| call("GET", "/v1/sales/small/stores?limit=500", 2 * n + 1)).collect();
    let mut all = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut frames = Frames::connect(&gateway.url, &h2_client(&cert)).await;
        frames.shut_window().await;
        frames.send(&pages).await;
        all.push(frames);
    }
    for frames in &mut all {
        // Twice around: what comes behind the requests has been read.
        for n in 0..2 {
            frames.send(&frame(PING, 0, 0, &[n; 8])).await;
            tokio::time::timeout(PATIENCE, frames.until(|f| f.kind == PING)).await.unwrap();
        }
    }
    let grown = memory() - before;
    println!("{grown} KiB for {CONNECTIONS} connections, {} KiB each", grown / CONNECTIONS);
}
