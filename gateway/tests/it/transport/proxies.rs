//! Tests the PROXY protocol on the public listener: permitted peers and refusals.

use testkit::cli::run;
use testkit::gateway::Gateway;
use testkit::http::Raw;
use testkit::redis::Redis;
use testkit::tls::{Certificate, client, get, h2_client, handshake, once};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
pub const GET: &str = "GET /v1/time HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
pub const PROXIES: [&str; 3] = ["--proxy-protocol", "--trusted-proxies", "127.0.0.0/8,::1"];

/// A header for 203.0.113.9, or, with the command 0x20, for the proxy itself.
pub fn header(command: u8) -> Vec<u8> {
    [SIGNATURE, &[command, 0x11, 0, 12, 203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x34, 0, 80]].concat()
}

#[tokio::test]
async fn a_trusted_proxy_introduces_its_clients() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &PROXIES).await;
    for command in [0x20, 0x21] {
        // With the request, and byte by byte.
        let mut raw = Raw::connect(&gateway.url).await;
        let reply = raw.send([&header(command), GET.as_bytes()].concat()).await.answer().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let mut raw = Raw::connect(&gateway.url).await;
        for byte in header(command) {
            raw.send([byte]).await;
        }
        let reply = raw.send(GET).await.answer().await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    // Version 1, no header, one that breaks off, one that is too long: closed without a word.
    for bad in [
        [b"PROXY TCP4 203.0.113.9 10.0.0.1 4660 80\r\n", GET.as_bytes()].concat(),
        GET.into(),
        [&header(0x11), GET.as_bytes()].concat(),
        [SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &[0; 65_535]].concat(),
    ] {
        let received = Raw::connect(&gateway.url).await.send(&bad).await.rest().await;
        assert_eq!(received, b"");
    }
    let received =
        Raw::connect(&gateway.url).await.send(&header(0x21)[..20]).await.half_close().await.rest().await;
    assert_eq!(received, b"");
    // The ops listener has nothing to do with it.
    assert_eq!(gateway.ops_get("/livez").await.status, 200);
}

#[tokio::test]
async fn an_untrusted_peer_may_not_introduce_clients() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--proxy-protocol", "--trusted-proxies", "10.0.0.0/8"]).await;
    for bytes in [[&header(0x21), GET.as_bytes()].concat(), GET.into()] {
        let received = Raw::connect(&gateway.url).await.send(&bytes).await.rest().await;
        assert_eq!(received, b"");
    }
    let alone = run(&["serve", "--proxy-protocol", "--ops-token-file", "x"]);
    assert!(alone.code == 2 && alone.err.contains("--trusted-proxies"), "{alone:?}");
    let bad = run(&["serve", "--trusted-proxies", "10.0.0.0/8,proxy.example", "--ops-token-file", "x"]);
    assert!(bad.code == 2 && bad.err.contains("proxy.example"), "{bad:?}");
}

#[tokio::test]
async fn a_header_that_does_not_come_is_waited_for_only_so_long() {
    let redis = Redis::start();
    let timeouts = ["--first-byte-timeout-ms", "300", "--header-timeout-ms", "300"];
    let gateway = Gateway::start_with(&redis, &[&PROXIES[..], &timeouts].concat()).await;
    for begun in [&b""[..], &header(0x21)[..7], &header(0x21)[..20], &header(0x21)] {
        let received = Raw::connect(&gateway.url).await.send(begun).await.rest().await;
        assert_eq!(received, b"");
    }
}

#[tokio::test]
async fn the_header_comes_before_the_handshake() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let options = certificate.options("");
    let options: Vec<&str> = options.iter().map(String::as_str).chain(PROXIES).collect();
    let gateway = Gateway::start_with(&redis, &options).await;
    let client = client(std::slice::from_ref(&cert), &[&rustls::version::TLS13], &["http/1.1"]);
    let address = gateway.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&header(0x21)).await.unwrap();
    let stream = handshake(stream, &client).await.unwrap();
    assert_eq!(once(stream, get("/v1/time")).await.status, 200);
    // In the other order, or without it, the handshake fails.
    let stream = TcpStream::connect(address).await.unwrap();
    assert!(handshake(stream, &h2_client(&cert)).await.is_err());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&header(0x21)).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received).await;
    assert!(!received.starts_with(b"HTTP"), "{received:?}");
}
