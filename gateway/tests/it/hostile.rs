//! Hostile clients, while 200 honest buyers reserve: none of those is disturbed, and the attackers are bounded.

mod corpus;
mod floods;
pub mod honest;
pub mod http2_floods;
pub mod http2_unread;
pub mod secrets;
mod slow;
mod smuggling;
mod strangers;
mod tools;

use std::process::Command;

use testkit::definition::open;
use testkit::gateway::Gateway;
use testkit::redis::Redis;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, MutexGuard};

use honest::Honest;

/// These tests open thousands of connections, both ends of them on this machine: one test at a time.
static ALONE: Mutex<()> = Mutex::const_new(());
/// Open files that a test needs, and the gateway as many.
const FILES: u32 = 10_000;

/// A gateway with the sale that honest buyers can go on in.
struct Stage {
    gateway: Gateway,
    _redis: Redis,
    _alone: MutexGuard<'static, ()>,
}

impl Stage {
    /// With further options. No deadline that a busy machine could miss is in force.
    async fn set(options: &[&str]) -> Self {
        let alone = ALONE.lock().await;
        // Without unsafe code a process can't raise its own limit; what it starts inherits it.
        let id = std::process::id().to_string();
        let raised = Command::new("prlimit").args(["--pid", &id, &format!("--nofile={FILES}:")]).status();
        assert!(raised.unwrap().success(), "these tests need {FILES} open files: raise the hard limit");
        let redis = Redis::start();
        let patient = ["--tap-deadline-ms", "60000", "--redis-answer-timeout-ms", "60000"];
        let gateway = Gateway::start_with(&redis, &[&patient, options].concat()).await;
        open(&gateway, &honest::sale()).await;
        Self { gateway, _redis: redis, _alone: alone }
    }

    async fn honest(&self) -> Honest {
        Honest::start(&self.gateway).await
    }

    fn address(&self) -> std::net::SocketAddr {
        self.gateway.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// A connection of the attacker of this number: from one of many addresses, so that ports do not run out.
    async fn attack(&self, n: usize) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(([127, 0, 1, (n % 200 + 1) as u8], 0).into()).unwrap();
        // A slow reader must be ended soon.
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        socket.connect(self.address()).await.unwrap()
    }

    /// A number of the gateway's `/proc/…/status`, in KiB.
    fn memory(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.gateway.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Open files of the gateway.
    fn files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.gateway.pid())).unwrap().count()
    }
}
