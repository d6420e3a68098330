//! Tests the connection limits of the process and of an address, and a lack of descriptors.

use std::process::Command;

use testkit::check::refused;
use testkit::eventually;
use testkit::gateway::{Gateway, Reply};
use testkit::http::Raw;
use testkit::redis::Redis;
use testkit::tls::{Certificate, connect, h2_client};

use crate::transport::proxies::{GET, PROXIES, header};

const KEEP: &str = "GET /v1/time HTTP/1.1\r\nhost: x\r\n\r\n";

/// Connections that have each had an answer, and stay open.
async fn retained(gateway: &Gateway, local: &str, first: &[u8], count: usize) -> Vec<Raw> {
    let mut all = Vec::new();
    for n in 0..count {
        let mut raw = Raw::connect_from(local, &gateway.url).await;
        let head = raw.send([first, KEEP.as_bytes()].concat()).await.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{n} of {count} from {local}: {head}");
        all.push(raw);
    }
    all
}

async fn once(gateway: &Gateway, local: &str, first: &[u8]) -> Reply {
    Raw::connect_from(local, &gateway.url).await.send([first, GET.as_bytes()].concat()).await.answer().await
}

async fn ended(gateway: &Gateway, reason: &str) -> f64 {
    let series = format!("connections_ended_total{{listener=\"public\",reason=\"{reason}\"}}");
    gateway.metrics().await.of(&series)
}

#[tokio::test]
async fn the_cap_is_of_the_process_whichever_worker_a_connection_meets() {
    let redis = Redis::start();
    let gateway = Gateway::start_with(&redis, &["--workers", "8", "--connections-max", "20"]).await;
    assert_eq!(gateway.metrics().await.of("connections_max{listener=\"public\"}"), 20.0);
    for _ in 0..3 {
        let mut all = retained(&gateway, "127.0.0.1", b"", 20).await;
        let reply = Raw::connect(&gateway.url).await.answer().await;
        refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
        assert_eq!(gateway.metrics().await.of("connections_open{listener=\"public\"}"), 20.0);
        // A connection that ends makes room at any worker.
        drop(all.pop());
        eventually("there is room for a connection", || async {
            (once(&gateway, "127.0.0.1", b"").await.status == 200).then_some(())
        })
        .await;
        drop(all);
        eventually("all have ended", || async {
            (gateway.metrics().await.of("connections_open{listener=\"public\"}") == 0.0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn one_address_can_not_have_all_connections() {
    let redis = Redis::start();
    let options = ["--workers", "4", "--connections-max", "200", "--connections-per-address-max", "5"];
    let gateway = Gateway::start_with(&redis, &options).await;
    let mut greedy = retained(&gateway, "127.0.0.2", b"", 5).await;
    for _ in 0..3 {
        let reply = Raw::connect_from("127.0.0.2", &gateway.url).await.answer().await;
        refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    }
    let samples = gateway.metrics().await;
    assert_eq!(samples.of("shed_total{reason=\"address\"}"), 3.0);
    assert_eq!(samples.of("shed_total{reason=\"connections\"}"), 0.0);
    assert_eq!(ended(&gateway, "over-address-cap").await, 3.0);
    // All others are served, and so is this one when one of its connections ends.
    let other = retained(&gateway, "127.0.0.3", b"", 5).await;
    drop(greedy.pop());
    eventually("the address has room again", || async {
        (once(&gateway, "127.0.0.2", b"").await.status == 200).then_some(())
    })
    .await;
    drop((greedy, other));
}

#[tokio::test]
async fn left_out_it_is_a_tenth_and_at_least_a_hundred_and_it_can_be_off() {
    let redis = Redis::start();
    for (options, most) in [
        (&["--connections-max", "1100"][..], 110),
        (&["--connections-max", "200"], 100),
        (&["--connections-max", "120", "--connections-per-address-max", "off"], 120),
    ] {
        let gateway = Gateway::start_with(&redis, options).await;
        let all = retained(&gateway, "127.0.0.2", b"", most).await;
        assert_eq!(once(&gateway, "127.0.0.2", b"").await.status, 503, "{options:?}");
        drop(all);
    }
}

#[tokio::test]
async fn trusted_proxies_count_for_no_address_and_with_the_proxy_protocol_their_clients_count() {
    let redis = Redis::start();
    let cap = ["--connections-per-address-max", "2"];
    let trusting = ["--trusted-proxies", "127.0.0.1", "--connections-max", "50"];
    let gateway = Gateway::start_with(&redis, &[&cap[..], &trusting].concat()).await;
    let proxy = retained(&gateway, "127.0.0.1", b"", 20).await;
    let client = retained(&gateway, "127.0.0.2", b"", 2).await;
    assert_eq!(once(&gateway, "127.0.0.2", b"").await.status, 503);
    drop((proxy, client));

    let gateway = Gateway::start_with(&redis, &[&cap[..], &PROXIES].concat()).await;
    // All come from one proxy: its clients' requests count for the clients, its own for none.
    let client = retained(&gateway, "127.0.0.1", &header(0x21), 2).await;
    let health = retained(&gateway, "127.0.0.1", &header(0x20), 10).await;
    let reply = once(&gateway, "127.0.0.1", &header(0x21)).await;
    refused(&reply, 503, "temporary-reduced-capacity", &["retry_after_ms"]);
    assert_eq!(ended(&gateway, "over-address-cap").await, 1.0);
    drop(client);
    eventually("the client has room again", || async {
        (once(&gateway, "127.0.0.1", &header(0x21)).await.status == 200).then_some(())
    })
    .await;
    drop(health);
}

#[tokio::test]
async fn with_tls_a_connection_over_the_cap_of_its_address_is_closed_without_a_handshake() {
    let redis = Redis::start();
    let (certificate, cert) = Certificate::new();
    let gateway = crate::transport::tls::start(
        &redis,
        &certificate,
        &["--workers", "2", "--connections-per-address-max", "1"],
    )
    .await;
    let first = connect(&gateway.url, &h2_client(&cert)).await.unwrap();
    assert_eq!(Raw::connect(&gateway.url).await.rest().await, b"");
    assert!(Raw::connect_from("127.0.0.2", &gateway.url).await.send(b"x").await.rest().await.len() < 20);
    assert_eq!(ended(&gateway, "over-address-cap").await, 1.0);
    drop(first);
    eventually("the address has room again", || async {
        connect(&gateway.url, &h2_client(&cert)).await.ok().map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_gateway_without_descriptors_writes_few_lines_and_goes_on() {
    let redis = Redis::start();
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let options = ["--workers", "1", "--first-byte-timeout-ms", "600000"];
    let gateway = Gateway::spawn_logging(&redis.url(), &options, &log);
    gateway.ready().await;
    let files = || std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();
    let limit = files() + 20;
    let limited = Command::new("prlimit")
        .args(["--pid", &gateway.pid().to_string(), &format!("--nofile={limit}:")])
        .status();
    assert!(limited.unwrap().success());
    // More than it can accept; those that it has not accepted wait in the kernel.
    let mut all = Vec::new();
    for _ in 0..200 {
        all.push(Raw::connect(&gateway.url).await);
    }
    let text = || std::fs::read_to_string(&log).unwrap();
    eventually("it logs the reason", || async {
        text().contains("no connections can be accepted").then_some(())
    })
    .await;
    // Each one that ends lets one in, and the next accept fails again.
    for mut raw in all {
        let head = raw.send(KEEP).await.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    }
    let lines = text().lines().filter(|line| line.contains("no connections can be accepted")).count();
    // Of one worker and the ops listener, for as long as this took: two at first, and each 10 s.
    assert!((1..20).contains(&lines), "{lines} lines");
}
