//! TLS and HTTP/2 with honest clients: versions, protocols, a reservation, certificates that change, the drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use reqwest::Method;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConnection, HandshakeKind};
use serde_json::json;
use testkit::Signal;
use testkit::check::{balanced, refused};
use testkit::cli::{end, run};
use testkit::definition::{small, white};
use testkit::eventually;
use testkit::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, block, frame, request, tap_block,
};
use testkit::gateway::{Gateway, OPS_TOKEN, SECRET, binary};
use testkit::redis::Redis;
use testkit::tls::{Certificate, H2, call, client, connect, get, h2_client, once, open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A gateway with TLS on its public listener, and further options.
pub async fn start(redis: &Redis, certificate: &Certificate, further: &[&str]) -> Gateway {
    let options = certificate.options("");
    let options: Vec<&str> = options.iter().map(String::as_str).chain(further.iter().copied()).collect();
    Gateway::start_with(redis, &options).await
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_the_protocol_that_the_client_prefers() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &[]).await;
    for version in [&TLS12, &TLS13] {
        for (alpn, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let client = client(std::slice::from_ref(&cert), &[version], alpn);
            let stream = connect(&gateway.url, &client).await.unwrap();
            let connection = stream.get_ref().1;
            assert_eq!(connection.protocol_version(), Some(version.version));
            assert_eq!(connection.alpn_protocol(), chosen.map(str::as_bytes), "{alpn:?}");
            if chosen == Some("h2") {
                let reply = H2::connect(&gateway.url, &client).await.get("/v1/time").await;
                assert_eq!(reply.status, 200, "{}", reply.text);
            } else {
                let reply = once(stream, get("/v1/time")).await;
                assert_eq!(reply.status, 200, "{}", reply.text);
            }
        }
        // What is not offered is refused (RFC 7301, section 3.2).
        let other = client(std::slice::from_ref(&cert), &[version], &["h3"]);
        assert!(connect(&gateway.url, &other).await.is_err());
    }
}

#[tokio::test]
async fn a_session_is_resumed_and_never_with_early_data() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &[]).await;
    for version in [&TLS12, &TLS13] {
        let mut client = client(std::slice::from_ref(&cert), &[version], &["http/1.1"]);
        Arc::get_mut(&mut client).unwrap().enable_early_data = true;
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let mut stream = connect(&gateway.url, &client).await.unwrap();
            let connection = stream.get_mut().1;
            assert_eq!(connection.handshake_kind(), Some(kind), "{version:?}");
            assert!(!connection.is_early_data_accepted());
            // The ticket comes with the answer.
            assert_eq!(once(stream, get("/v1/time")).await.status, 200);
        }
        let name = ServerName::try_from("localhost").unwrap();
        let mut third = ClientConnection::new(client, name).unwrap();
        assert!(third.early_data().is_none(), "the ticket allows none");
    }
}

#[tokio::test]
async fn tls_1_1_and_plain_text_are_refused() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &[]).await;
    // A ClientHello of TLS 1.1: version 3.2, no session, two suites, no compression, and the extensions
    // for groups (x25519), forms of points, and signatures (RSA with SHA-256).
    let extensions = [0, 10, 0, 4, 0, 2, 0, 29, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 1];
    let body = [&[3, 2][..], &[7; 32], &[0, 0, 4, 0xc0, 0x13, 0, 0x2f, 1, 0, 0, 22], &extensions].concat();
    let length = u8::try_from(body.len()).unwrap();
    let hello = [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat();
    let mut stream = TcpStream::connect(gateway.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    // A fatal alert: protocol_version.
    assert_eq!((received[0], &received[3..]), (21, &[0, 2, 2, 70][..]), "{received:?}");

    let plain = gateway.get("/v1/time").await;
    assert_eq!(plain.status, 0, "{}", plain.text);
    // Other connections are not affected.
    assert_eq!(H2::connect(&gateway.url, &h2_client(&cert)).await.get("/v1/time").await.status, 200);
}

#[tokio::test]
async fn a_complete_reservation_over_http_2() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &[]).await;
    let h2 = H2::connect(&gateway.url, &h2_client(&cert)).await;
    open(&gateway, &h2, &small()).await;
    const RESERVATIONS: &str = "/v1/sales/small/reservations";
    let won = h2.send(call("POST", RESERVATIONS, "alice", "k", &white())).await;
    assert_eq!((won.status, &won.json["state"]), (201, &json!("held")), "{}", won.text);
    let again = h2.send(call("POST", RESERVATIONS, "alice", "k", &white())).await;
    assert_eq!((again.status, again.id()), (200, won.id()));
    let one = format!("{RESERVATIONS}/{}", won.id());
    let moved = h2.send(call("PATCH", &one, "alice", "k", &json!({"store": "gz-2"}))).await;
    assert_eq!((moved.status, &moved.json["store"]), (200, &json!("gz-2")), "{}", moved.text);
    let ended = h2.send(call("POST", &format!("{one}/cancel"), "alice", "k", &json!({}))).await;
    assert_eq!((ended.status, &ended.json["state"]), (200, &json!("cancelled")), "{}", ended.text);

    // The limits are those of HTTP/1.1, and the refusals ours.
    let before = balanced(&gateway).await;
    let large = h2.send(call("POST", RESERVATIONS, "bob", "k", &json!(" ".repeat(17_000)))).await;
    refused(&large, 413, "body-too-large", &[]);
    let mut long = get("/v1/time");
    long.headers_mut().insert("x", "y".repeat(17_000).parse().unwrap());
    refused(&h2.send(long).await, 431, "headers-too-large", &[]);
    let target = format!("/v1/time?{}", "x".repeat(3_000));
    refused(&h2.get(&target).await, 414, "uri-too-long", &[]);
    refused(
        &h2.send(call("DELETE", RESERVATIONS, "bob", "k", &json!({}))).await,
        405,
        "method-not-allowed",
        &[],
    );
    // Far beyond the limit the status still gives the reason.
    let mut huge = get("/v1/time");
    huge.headers_mut().insert("x", "y".repeat(60_000).parse().unwrap());
    assert!([431, 0].contains(&h2.send(huge).await.status));
    assert_eq!(balanced(&gateway).await, before);
    // A hundred buyers at once on one connection.
    let h2 = H2::connect(&gateway.url, &h2_client(&cert)).await;
    let taps = (0..100).map(|n| h2.send(call("POST", RESERVATIONS, &format!("b{n}"), "k", &white())));
    let replies = futures_util::future::join_all(taps).await;
    let won = replies.iter().filter(|r| r.status == 201).count();
    assert_eq!(won, 60, "{:?}", replies.iter().map(|r| r.status).collect::<Vec<_>>());
    assert!(replies.iter().all(|r| r.status == 201 || r.problem() == "sold-out"));
    balanced(&gateway).await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_over_under_load_and_a_bad_one_is_not() {
    let redis = Redis::start();
    let (certificate, first) = Certificate::new();
    let gateway = Arc::new(start(&redis, &certificate, &[]).await);
    let h2 = H2::connect(&gateway.url, &h2_client(&first)).await;
    // Bad files first: the key of another certificate, then no certificate at all.
    let (other, _) = Certificate::new();
    let good_key = std::fs::read(certificate.key()).unwrap();
    std::fs::copy(other.key(), certificate.key()).unwrap();
    for _ in 0..20 {
        let stream = connect(&gateway.url, &h2_client(&first)).await;
        assert!(stream.is_ok(), "{:?}", stream.err());
    }
    std::fs::write(certificate.key(), good_key).unwrap();

    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let second = Certificate::new();
    let trusted = [first.clone(), second.1.clone()];
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (gateway, done, answered) = (gateway.clone(), done.clone(), answered.clone());
            let client = client(&trusted, &[&TLS12, &TLS13], &["http/1.1"]);
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let stream = connect(&gateway.url, &client).await.unwrap();
                    let reply = once(stream, get("/v1/time")).await;
                    assert_eq!(reply.status, 200, "{}", reply.text);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    std::fs::copy(second.0.cert(), certificate.cert()).unwrap();
    std::fs::copy(second.0.key(), certificate.key()).unwrap();
    eventually("the new certificate is shown", || async {
        connect(&gateway.url, &h2_client(&second.1)).await.is_ok().then_some(())
    })
    .await;
    let before = answered.load(Ordering::Relaxed);
    eventually("some more requests", || async {
        (answered.load(Ordering::Relaxed) > before + 20).then_some(())
    })
    .await;
    done.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(connect(&gateway.url, &h2_client(&first)).await.is_err(), "the old one is not shown any more");
    assert_eq!(h2.get("/v1/time").await.status, 200, "connections that were there go on");
}

#[tokio::test]
async fn a_drain_sends_goaway_and_the_last_answer() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let mut gateway = start(&redis, &certificate, &[]).await;
    let idle = H2::connect(&gateway.url, &h2_client(&cert)).await;
    open(&gateway, &idle, &small()).await;
    let mut frames = Frames::connect(&gateway.url, &h2_client(&cert)).await;
    frames.send(&frame(HEADERS, END_HEADERS, 1, &tap_block())).await;
    frames.send(&frame(PING, 0, 0, b"are you?")).await;
    let pong = frames.until(|f| f.kind == PING && f.flags == ACK && f.payload == b"are you?").await;
    assert!(pong.is_some(), "the head has been read");
    gateway.signal(Signal::TERM);
    let goaway = frames.until(|f| f.kind == GOAWAY).await.expect("GOAWAY");
    assert_eq!(goaway.error(), 0, "no error");
    frames.send(&frame(DATA, END_STREAM, 1, white().to_string().as_bytes())).await;
    let answer = frames.until(|f| f.kind == DATA && f.stream == 1).await.expect("an answer");
    let answer: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(answer["state"], "held", "{answer}");
    let ended = eventually("it ends", || std::future::ready(gateway.ended())).await;
    assert!(ended.success());
}

#[tokio::test]
async fn an_idle_or_silent_connection_is_ended() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    // Long enough for a handshake on a machine that is busy.
    let timeouts =
        [["--first-byte-timeout-ms", "1000"], ["--header-timeout-ms", "1000"], ["--idle-timeout-ms", "1000"]];
    let timeouts = timeouts.as_flattened();
    let gateway = start(&redis, &certificate, timeouts).await;
    // Nothing at all, half a handshake, a complete one and nothing after it.
    let address = gateway.url.strip_prefix("http://").unwrap();
    for begun in [&b""[..], &[22, 3, 1, 2]] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        assert!(received.is_empty(), "{received:?}");
    }
    for alpn in ["h2", "http/1.1"] {
        let client = client(std::slice::from_ref(&cert), &[&TLS13], &[alpn]);
        let mut stream = connect(&gateway.url, &client).await.unwrap();
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received).await;
        assert!(received.is_empty(), "{received:?}");
    }
    // HTTP/2 without a request, after one, and in the middle of a head.
    for begun in [
        vec![],
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&request("GET", "/v1/time"))),
        frame(HEADERS, END_STREAM, 1, &block(&request("GET", "/v1/time"))),
    ] {
        let mut frames = Frames::connect(&gateway.url, &h2_client(&cert)).await;
        frames.send(&begun).await;
        let goaway = frames.until(|f| f.kind == GOAWAY).await.expect("GOAWAY");
        assert_eq!(goaway.error(), 0, "no error");
        assert!(frames.until(|_| false).await.is_none(), "and the end");
    }
    // A head of HTTP/1.1 that is begun and not finished gets its 408.
    let client = client(std::slice::from_ref(&cert), &[&TLS13], &["http/1.1"]);
    let mut stream = connect(&gateway.url, &client).await.unwrap();
    stream.write_all(b"GET /v1/time HT").await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    assert!(received.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&received));
}

#[tokio::test]
async fn connections_over_the_cap_are_closed_and_a_handshake_counts() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = start(&redis, &certificate, &["--workers", "1", "--connections-max", "2"]).await;
    let address = gateway.url.strip_prefix("http://").unwrap();
    let one = H2::connect(&gateway.url, &h2_client(&cert)).await;
    assert_eq!(one.get("/v1/time").await.status, 200);
    // One that has only begun its handshake counts as the second connection.
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun.write_all(&[22, 3, 1]).await.unwrap();
    for _ in 0..3 {
        let mut third = TcpStream::connect(address).await.unwrap();
        let mut received = Vec::new();
        let _ = third.read_to_end(&mut received).await;
        assert!(received.is_empty(), "{received:?}");
    }
    drop(begun);
    eventually("there is room for a connection", || async {
        connect(&gateway.url, &h2_client(&cert)).await.ok().map(drop)
    })
    .await;
    assert_eq!(one.get("/v1/time").await.status, 200);
}

#[test]
fn files_that_do_not_fit_are_reported_at_the_start() {
    let (one, other) = (Certificate::new().0, Certificate::new().0);
    let half = run(&["serve", "--tls-cert-file", "x", "--ops-tls-key-file", "y", "--ops-token-file", "z"]);
    assert_eq!(half.code, 2, "{half:?}");
    assert!(half.err.contains("--tls-key-file") && half.err.contains("--ops-tls-cert-file"), "{half:?}");
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    std::fs::write(path("secret"), SECRET).unwrap();
    std::fs::write(path("ops"), format!("ops {OPS_TOKEN}\n")).unwrap();
    let mut command = binary();
    command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
    command.arg("--auth-secret-file").arg(path("secret")).arg("--ops-token-file").arg(path("ops"));
    command.arg("--tls-cert-file").arg(one.cert()).arg("--tls-key-file").arg(other.key());
    command.arg("--ops-tls-cert-file").arg(one.key()).arg("--ops-tls-key-file").arg(one.key());
    let ended = end(command);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("does not match the certificate"), "{ended:?}");
    assert!(ended.err.contains("holds no certificate"), "{ended:?}");
}

#[tokio::test]
async fn the_ops_listener_is_private_has_tls_or_is_reported_not_to_care() {
    let refused = run(&["serve", "--ops-listen", "0.0.0.0:0", "--ops-token-file", "x"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    for way_out in ["--ops-tls-cert-file", "127.0.0.1", "--ops-plain-text"] {
        assert!(refused.err.contains(way_out), "{refused:?}");
    }
    let unclear = run(&["serve", "--ops-plain-text=perhaps", "--ops-token-file", "x"]);
    assert!(unclear.code == 2 && unclear.err.contains("neither true nor false"), "{unclear:?}");

    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--ops-listen", "0.0.0.0:0", "--ops-plain-text"]).await;
    assert_eq!(gateway.ops_get("/livez").await.status, 200);

    let (certificate, cert) = Certificate::new();
    let options = certificate.options("ops-");
    let listen = ["--ops-listen", "0.0.0.0:0"];
    let options: Vec<&str> = options.iter().map(String::as_str).chain(listen).collect();
    let gateway = Gateway::spawn(&redis, &options);
    let h2 = H2::connect(&gateway.ops_url, &h2_client(&cert)).await;
    assert_eq!(h2.get("/livez").await.status, 200);
    assert_eq!(gateway.ops(Method::GET, "/livez", &json!(null)).await.status, 0, "no plain text");
    assert_eq!(gateway.get("/v1/time").await.status, 200, "the public listener stays as it is");
}
