//! HTTP/2 with hostile clients: each flood ends its own connection, and honest clients are served all the while.

use rustls::version::TLS13;
use testkit::definition::{small, white};
use testkit::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, block, frame, request, tap_block,
};
use testkit::gateway::Gateway;
use testkit::redis::Redis;
use testkit::tls::{Certificate, H2, client as tls_client, h2_client, open};

use crate::hostile::honest::{self, Honest};
use crate::transport::tls::start;

/// Frames that an attacker tries to send, at most.
const FLOOD: u32 = 200_000;
/// Of so many at once.
const PIECE: u32 = 50;

/// What is sent for the n-th time.
type Nth = fn(u32) -> Vec<u8>;

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&request("GET", "/v1/time")))
}

fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&request("POST", "/v1/sales/small/reservations")))
}

/// Sends until the server hangs up; how many times it came to.
async fn flood(gateway: &Gateway, h2: &H2, frames: &mut Frames, nth: Nth) -> u32 {
    let mut sent = 0;
    while sent < FLOOD && !frames.has_ended() {
        let piece: Vec<u8> = (sent..sent + PIECE).flat_map(nth).collect();
        if !frames.send(&piece).await {
            break;
        }
        sent += PIECE;
        if sent % 1_000 == 0 {
            assert_eq!(h2.get("/v1/time").await.status, 200, "an honest client is served");
        }
    }
    // The server's last bytes are still on their way.
    assert!(sent < FLOOD, "never ended");
    assert!(frames.until(|_| false).await.is_none());
    assert_eq!(h2.get("/v1/time").await.status, 200, "also afterwards, on the connection that it has");
    assert_eq!(gateway.ops_get("/livez").await.status, 200);
    sent
}

#[tokio::test]
async fn floods_end_the_connection_that_they_come_on() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    // One worker: the honest ones are on the thread of the attacker.
    let gateway = start(&redis, &certificate, &["--workers", "1"]).await;
    let client = h2_client(&cert);
    open(&gateway, &H2::connect(&gateway.url, &client).await, &honest::sale()).await;
    let http1 = tls_client(&[cert], &[&TLS13], &["http/1.1"]);
    let honest = Honest::start_over(&gateway, Some(http1)).await;
    let floods: [(&str, Vec<u8>, Nth); 9] = [
        ("rapid reset", vec![], |n| {
            [get(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat()
        }),
        ("CONTINUATION", frame(HEADERS, END_STREAM, 1, &block(&request("GET", "/v1/time"))), |_| {
            frame(CONTINUATION, 0, 1, &block(&[("x", "y")]))
        }),
        ("empty CONTINUATION", frame(HEADERS, END_STREAM, 1, &block(&request("GET", "/v1/time"))), |_| {
            frame(CONTINUATION, 0, 1, &[])
        }),
        ("PING", vec![], |n| frame(PING, 0, 0, &u64::from(n).to_be_bytes())),
        ("SETTINGS", vec![], |_| frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", vec![], |_| frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 7])),
        ("WINDOW_UPDATE", vec![], |_| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown frames", vec![], |_| frame(0x42, 0, 0, &[])),
        ("empty DATA", post(1), |_| frame(DATA, 0, 1, &[])),
    ];
    for (name, first, nth) in floods {
        let h2 = H2::connect(&gateway.url, &client).await;
        let mut frames = Frames::connect(&gateway.url, &client).await;
        frames.send(&first).await;
        let sent = flood(&gateway, &h2, &mut frames, nth).await;
        assert!(sent > 0, "{name}");
        honest.go_on(1).await;
    }
    honest.end(&gateway).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_then_the_connection() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &["--workers", "1"]).await;
    let client = h2_client(&cert);
    let h2 = H2::connect(&gateway.url, &client).await;
    let mut frames = Frames::connect(&gateway.url, &client).await;
    open(&gateway, &h2, &small()).await;
    // Taps without their bodies: all are in flight.
    let head = tap_block();
    let tap = |n: u32| frame(HEADERS, END_HEADERS, 2 * n + 1, &head);
    // As many as there may be, and one more.
    frames.send(&(0..129).flat_map(tap).collect::<Vec<_>>()).await;
    let refused = frames.until(|f| f.kind == RST_STREAM || f.kind == HEADERS).await.unwrap();
    assert_eq!((refused.kind, refused.stream), (RST_STREAM, 2 * 128 + 1));
    // REFUSED_STREAM: nothing was done (RFC 9113, section 8.7).
    assert_eq!(refused.error(), 7);
    // One that is answered makes room for one.
    frames.send(&frame(DATA, END_STREAM, 1, white().to_string().as_bytes())).await;
    let answer = frames.until(|f| f.kind == DATA).await.unwrap();
    assert_eq!(answer.stream, 1, "{answer:?}");
    frames.send(&tap(129)).await;
    frames.send(&frame(PING, 0, 0, b"all read")).await;
    let next = frames.until(|f| f.kind == RST_STREAM || f.kind == PING && f.payload == b"all read").await;
    assert_eq!(next.unwrap().kind, PING, "it was not refused");
    // A client that ignores it is disconnected.
    let more: Vec<u8> = (130..330).flat_map(tap).collect();
    frames.send(&more).await;
    let goaway = frames.until(|f| f.kind == GOAWAY).await.expect("GOAWAY");
    assert_eq!(goaway.error(), 11, "ENHANCE_YOUR_CALM");
    assert!(frames.until(|_| false).await.is_none());
    assert_eq!(h2.get("/v1/time").await.status, 200);
}

#[tokio::test]
async fn requests_that_are_taken_back_are_bounded_also_when_they_are_under_way() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &["--workers", "1"]).await;
    let h2 = H2::connect(&gateway.url, &h2_client(&cert)).await;
    open(&gateway, &h2, &small()).await;
    let head = tap_block();
    let mut frames = Frames::connect(&gateway.url, &h2_client(&cert)).await;
    let mut taken_back = 0;
    while taken_back < 1_000 {
        let stream = 2 * taken_back + 1;
        // Its handler has it when the PING behind it is answered.
        frames.send(&[frame(HEADERS, END_HEADERS, stream, &head), frame(PING, 0, 0, &[7; 8])].concat()).await;
        if frames.until(|f| f.kind == PING && f.payload == [7; 8]).await.is_none() {
            break;
        }
        frames.send(&frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])).await;
        taken_back += 1;
    }
    // A good 100 are allowed, as an app may do that loses its user; not any number.
    assert!((100..=400).contains(&taken_back), "{taken_back}");
    assert_eq!(h2.get("/v1/time").await.status, 200);
}
