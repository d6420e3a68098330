//! Tests what the gateway reports to systemd, over a real socket of its protocol.

use std::path::PathBuf;

use testkit::files::local_address;
use testkit::gateway::{Gateway, GatewaySetup};
use testkit::redis::Redis;
use testkit::{PATIENCE, Signal, eventually};
use tokio::net::UnixDatagram;

/// Short enough that many signs of life come, and long enough for a busy machine.
const WATCHDOG_US: &str = "2000000";

/// The end of the socket that systemd has.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Systemd {
    fn listen() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path, _dir: dir }
    }

    /// Starts a gateway as a service with a watchdog.
    fn start(&self, redis: &str) -> Gateway {
        let envs = [("NOTIFY_SOCKET", self.path.to_str().unwrap()), ("WATCHDOG_USEC", WATCHDOG_US)];
        GatewaySetup { redis, envs: &envs, ..GatewaySetup::default() }.start().unwrap()
    }

    async fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let length =
            tokio::time::timeout(PATIENCE, self.socket.recv(&mut buffer)).await.expect("a report").unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    /// Skips reports until one begins so.
    async fn until(&self, begins: &str) -> String {
        loop {
            let report = self.next().await;
            if report.starts_with(begins) {
                return report;
            }
        }
    }

    /// Reports that have arrived.
    fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = self.socket.try_recv(&mut buffer) {
            rest.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        rest
    }
}

#[tokio::test]
async fn a_service_reports_its_start_its_readiness_a_reload_and_its_drain() {
    let (redis, systemd) = (Redis::start(), Systemd::listen());
    let mut gateway = systemd.start(&redis.url());
    // The first report: the ports are open, and signals are caught.
    assert_eq!(systemd.next().await, "READY=1\n");
    assert!(gateway.ops_get("/livez").await.status == 200);
    systemd.until("STATUS=ready\n").await;
    for _ in 0..3 {
        systemd.until("WATCHDOG=1\n").await;
    }
    for _ in 0..2 {
        gateway.signal(Signal::HUP);
        let reload = systemd.until("RELOADING=1\n").await;
        let monotonic = reload.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        assert!(monotonic.is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time > 0)), "{reload}");
        systemd.until("READY=1\n").await;
    }
    gateway.signal(Signal::TERM);
    systemd.until("STOPPING=1\n").await;
    let status = eventually("the gateway ends", || std::future::ready(gateway.ended())).await;
    assert_eq!(status.code(), Some(0));
    assert!(systemd.rest().is_empty(), "nothing follows the report of the drain");
}

#[tokio::test]
async fn a_service_without_redis_has_started_and_is_alive() {
    let systemd = Systemd::listen();
    let gateway = systemd.start(&format!("redis://{}", local_address()));
    assert_eq!(systemd.next().await, "READY=1\n");
    let status = systemd.until("STATUS=not ready: ").await;
    for _ in 0..3 {
        systemd.until("WATCHDOG=1\n").await;
    }
    assert!(!gateway.is_ready().await, "{status}");
}

#[tokio::test]
async fn a_start_is_reported_once_there_is_room_for_it() {
    let (redis, systemd) = (Redis::start(), Systemd::listen());
    let other = std::os::unix::net::UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"STATUS=of another service\n", &systemd.path).is_ok() {}
    let gateway = systemd.start(&redis.url());
    gateway.ready().await;
    systemd.until("READY=1\n").await;
    systemd.until("STATUS=ready\n").await;
}

#[tokio::test]
async fn a_systemd_that_reads_nothing_stops_nothing() {
    let (redis, systemd) = (Redis::start(), Systemd::listen());
    let mut gateway = systemd.start(&redis.url());
    gateway.ready().await;
    // More reports than the socket holds.
    for _ in 0..100 {
        gateway.signal(Signal::HUP);
        assert_eq!(gateway.ops_get("/livez").await.status, 200);
    }
    gateway.signal(Signal::TERM);
    let status = eventually("the gateway ends", || std::future::ready(gateway.ended())).await;
    assert_eq!(status.code(), Some(0));
}
