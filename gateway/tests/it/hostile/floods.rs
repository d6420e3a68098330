//! Clients that send too much or too often: connections, heads, targets, bodies, one buyer on very many connections.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use testkit::{PATIENCE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Stage;
use super::honest::{BUYERS, answer, tap_head, whole_tap};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_connections_that_are_dropped_leave_nothing() {
    const CONNECTIONS: usize = 100_000;
    let stage = Stage::set(&[]).await;
    let honest = stage.honest().await;
    let (files, memory) = (stage.files(), stage.memory("VmRSS"));
    let dropped = futures_util::stream::iter(0..CONNECTIONS).map(|n| {
        let stage = &stage;
        async move {
            let mut stream = stage.attack(n).await;
            // At once, after a few bytes, in the middle of a head; with a reset or in order.
            let begun: &[u8] = [&b""[..], b"G", b"GET /v1/time HTTP/1.1\r\nhost:"][n % 3];
            let _ = stream.write_all(begun).await;
            if n % 2 == 0 {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
        }
    });
    dropped.buffer_unordered(100).collect::<Vec<()>>().await;
    eventually("what was dropped is gone", || async { (stage.files() <= files).then_some(()) }).await;
    let grown = stage.memory("VmHWM").saturating_sub(memory);
    assert!(grown < 256 * 1024, "{grown} KiB");
    honest.end(&stage.gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_over_the_cap_have_a_cap_of_their_own() {
    // Permits for the honest buyers and a few more; a limited number of the others is refused at a
    // time.
    const MORE: usize = 50;
    const ANSWERED_AT_ONCE: usize = 256;
    let most = (BUYERS + MORE).to_string();
    let stage =
        Stage::set(&["--workers", "1", "--connections-max", &most, "--connections-per-address-max", "off"])
            .await;
    let honest = stage.honest().await;
    let files = stage.files();
    let mut flood = Vec::new();
    for n in 0..5_000 {
        flood.push(stage.attack(n).await);
        if n % 50 == 0 {
            let grown = stage.files().saturating_sub(files);
            assert!(grown <= MORE + ANSWERED_AT_ONCE, "{grown} files more after {n} connections");
        }
    }
    honest.go_on(1).await;
    drop(flood);
    eventually("the flood is gone", || async { (stage.files() <= files).then_some(()) }).await;
    honest.end(&stage.gateway).await;
}

/// Sends a piece repeatedly up to so many bytes, until the server reads no more; returns the count
/// and the answer.
async fn pour(mut stream: TcpStream, begin: &str, piece: &str, total: usize) -> (usize, Vec<u8>) {
    let _ = stream.write_all(begin.as_bytes()).await;
    let (mut read, mut write) = stream.split();
    let mut received = Vec::new();
    let pouring = async {
        let mut sent = begin.len();
        while sent < total {
            match write.write(piece.as_bytes()).await {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        sent
    };
    let both = async { tokio::join!(pouring, read.read_to_end(&mut received)).0 };
    let sent = tokio::time::timeout(PATIENCE, both)
        .await
        .expect("the gateway ends a connection that sends too much");
    (sent, received)
}

fn status(received: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(received);
    assert!(text.matches("HTTP/1.1").count() <= 1, "{text}");
    text.split(' ').nth(1).map_or(0, |status| status.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_targets_without_end_are_refused() {
    let stage = Stage::set(&[]).await;
    let honest = stage.honest().await;
    const FOLD: &str = " z\r\n";
    let get = "GET /v1/time HTTP/1.1\r\nhost: x\r\n";
    let long = "y".repeat(4_096);
    let bombs = [
        // One field without end, many of them, one in many lines, a target, a method, empty lines.
        (format!("{get}x: "), long.as_str()),
        (get.to_owned(), "x: y\r\n"),
        (format!("{get}x: y\r\n"), FOLD),
        ("GET /".to_owned(), &long),
        ("G".to_owned(), &"E".repeat(4_096)),
        (String::new(), &"\r\n".repeat(2_048)),
    ];
    // So much that the refusal still arrives; and without end, when it may drown.
    for (total, count) in [(200_000, 100), (64 << 20, 20)] {
        let pours = (0..count * bombs.len()).map(|n| {
            let (stage, (begin, piece)) = (&stage, &bombs[n % bombs.len()]);
            async move { (piece, begin, pour(stage.attack(n).await, begin, piece, total).await) }
        });
        for (piece, begin, (sent, received)) in futures_util::future::join_all(pours).await {
            let status = status(&received);
            // hyper answers 400 to a folded header if it parses before the size limit.
            let is_refusal = status == 431 || *piece == FOLD && status == 400;
            let may_drown = total > 200_000 && status == 0;
            assert!(is_refusal || may_drown, "{status} for {begin:?}, {:?}…", &piece[..2]);
            assert!(total < 1 << 20 || sent < 16 << 20, "{sent} bytes were taken");
        }
    }
    honest.end(&stage.gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_a_gibibyte_is_refused_and_not_read() {
    const GIB: usize = 1 << 30;
    let stage = Stage::set(&[]).await;
    let honest = stage.honest().await;
    let memory = stage.memory("VmRSS");
    let piece = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let framings = [
        (format!("content-length: {GIB}\r\n\r\n"), 413),
        ("transfer-encoding: chunked\r\n\r\n".to_owned(), 413),
        // One chunk of a GiB.
        (format!("transfer-encoding: chunked\r\n\r\n{GIB:x}\r\n"), 413),
        // An extension, and a size, that do not end.
        ("transfer-encoding: chunked\r\n\r\n1;".to_owned(), 400),
    ];
    let pours = (0..40).map(|n| {
        let (stage, piece) = (&stage, &piece);
        let (further, refusal) = &framings[n % framings.len()];
        async move {
            let begin = format!("{}{further}", tap_head("big", "k"));
            let piece = if *refusal == 400 { &"x".repeat(4_096) } else { piece };
            (*refusal, pour(stage.attack(n).await, &begin, piece, GIB).await)
        }
    });
    for (refusal, (sent, received)) in futures_util::future::join_all(pours).await {
        let status = status(&received);
        // A client that continues to send may lose the refusal to the reset.
        assert!(status == refusal || status == 0, "{status} instead of {refusal}");
        assert!(sent < 16 << 20, "{sent} bytes of a body were taken");
    }
    // Announced, and waited with: the refusal arrives.
    let mut raw = testkit::http::Raw::connect(&stage.gateway.url).await;
    let head = format!("{}content-length: {GIB}\r\n\r\n", tap_head("big", "k"));
    let reply = raw.send(head).await.answer().await;
    testkit::check::refused(&reply, 413, "body-too-large", &[]);
    let grown = stage.memory("VmHWM").saturating_sub(memory);
    assert!(grown < 128 * 1024, "{grown} KiB");
    honest.end(&stage.gateway).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_buyer_on_a_thousand_connections_gets_one() {
    const CONNECTIONS: usize = 1_000;
    let stage = Stage::set(&[]).await;
    let honest = stage.honest().await;
    let mut streams = Vec::new();
    for n in 0..CONNECTIONS {
        streams.push(stage.attack(n).await);
    }
    let mut won = 0;
    for round in 0..3 {
        let taps = streams.iter_mut().enumerate().map(|(n, stream)| async move {
            stream.write_all(whole_tap("greedy", &format!("k{round}-{n}")).as_bytes()).await.unwrap();
            answer(stream).await.expect("an answer")
        });
        for (status, text) in futures_util::future::join_all(taps).await {
            assert!(status == 201 || status == 409 && text.contains("/problems/purchase-limit"), "{text}");
            won += usize::from(status == 201);
        }
        honest.go_on(1).await;
    }
    assert_eq!(won, 1);
    let list = stage.gateway.get_as("greedy", "/v1/sales/small/reservations").await;
    assert_eq!(list.json["reservations"].as_array().unwrap().len(), 1);
    assert_eq!(list.json["reservations"][0]["state"], json!("held"));
    honest.end(&stage.gateway).await;
}
