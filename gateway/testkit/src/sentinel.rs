//! Starts three sentinels that monitor one primary with a quorum of two.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files::{Folder, free_address};
use crate::program::Program;
use crate::redis::ask;
use crate::tls::Certificate;
use crate::{Failed, wait_for};

/// The name of the monitored primary.
pub const NAME: &str = "ledger";

/// What sentinels are started with.
pub struct SentinelSetup<'a> {
    pub primary: SocketAddr,
    /// A host for each.
    pub hosts: [IpAddr; 3],
    /// Long enough that a busy machine is not taken for a primary that is gone.
    pub down_after_ms: u64,
    /// They speak TLS, too, at a port of their own.
    pub certificate: Option<&'a Certificate>,
    /// Where their files and logs go; by default a new directory, which goes with them.
    pub dir: Option<&'a Path>,
}

/// A sentinel.
pub struct Sentinel {
    pub program: Program,
    /// Where it is asked, without TLS.
    pub address: SocketAddr,
}

/// All three. They are killed when this is dropped.
pub struct Sentinels {
    pub nodes: Vec<Sentinel>,
    /// For `--redis`.
    pub url: String,
    folder: Folder,
}

impl Sentinels {
    /// A sentinel on this host that monitors the primary.
    pub fn of(primary: u16) -> Self {
        Self::local(primary, None)
    }

    /// Likewise, in TLS besides.
    pub fn in_tls(primary: u16, certificate: &Certificate) -> Self {
        Self::local(primary, Some(certificate))
    }

    fn local(primary: u16, certificate: Option<&Certificate>) -> Self {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let setup = SentinelSetup {
            primary: (host, primary).into(),
            hosts: [host; 3],
            down_after_ms: 3000,
            certificate,
            dir: None,
        };
        setup.start().unwrap()
    }

    /// The port of each.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.nodes.iter().map(|node| node.address.port())
    }
}

impl SentinelSetup<'_> {
    /// Starts the sentinels, and waits until they see each other and two replicas.
    pub fn start(&self) -> Result<Sentinels, Failed> {
        let folder = Folder::new(self.dir)?;
        let mut sentinels = Sentinels { nodes: Vec::new(), url: String::new(), folder };
        let mut hosts = Vec::new();
        for (n, host) in self.hosts.into_iter().enumerate() {
            let tls = self.certificate.map(|certificate| (free_address(host), certificate));
            let node = self.sentinel(&sentinels.folder.path, n + 1, host, tls)?;
            hosts.push(tls.map_or(node.address, |(address, _)| address).to_string());
            sentinels.nodes.push(node);
        }
        let scheme = if self.certificate.is_some() { "rediss" } else { "redis" };
        sentinels.url = format!("{scheme}+sentinel://{}/{NAME}", hosts.join(","));
        let all = |words: &str, is_good: fn(&str) -> bool| {
            let is_good = |node: &Sentinel| node.ask(words).is_some_and(|answer| is_good(&answer));
            sentinels.nodes.iter().all(is_good).then_some(())
        };
        wait_for("the sentinels see each other", || {
            all(&format!("CKQUORUM {NAME}"), |answer| answer.starts_with("+OK 3"))
        })?;
        wait_for("the sentinels see both replicas", || {
            all(&format!("REPLICAS {NAME}"), |answer| answer.matches("\nrunid\r").count() == 2)
        })?;
        Ok(sentinels)
    }

    fn sentinel(
        &self,
        dir: &Path,
        n: usize,
        host: IpAddr,
        tls: Option<(SocketAddr, &Certificate)>,
    ) -> Result<Sentinel, Failed> {
        let address = free_address(host);
        let file: PathBuf = dir.join(format!("sentinel-{n}.conf"));
        std::fs::write(&file, self.settings(address, tls)).map_err(Failed::to("write a file"))?;
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(dir).stdout(Stdio::null());
        let log = dir.join(format!("sentinel-{n}.log"));
        let mut sentinel =
            Sentinel { program: Program::new(&format!("sentinel {n}"), command).log_to(&log)?, address };
        sentinel.program.start_at(address)?;
        Ok(sentinel)
    }

    fn settings(&self, address: SocketAddr, tls: Option<(SocketAddr, &Certificate)>) -> String {
        let mut settings = settings(address, self.primary, self.down_after_ms, 6000);
        if let Some((tls, certificate)) = tls {
            settings += &format!("tls-port {}\n", tls.port());
            for option in certificate.redis_options().chunks_exact(2) {
                settings += &format!("{} {}\n", option[0].trim_start_matches('-'), option[1]);
            }
        }
        settings
    }
}

/// The configuration of a sentinel at this address, without TLS.
pub fn settings(at: SocketAddr, primary: SocketAddr, down_after_ms: u64, failover_timeout_ms: u64) -> String {
    let (ip, port) = (at.ip(), at.port());
    let (primary_ip, primary_port) = (primary.ip(), primary.port());
    format!(
        "port {port}\nbind {ip}\nbind-source-addr {ip}\nprotected-mode no\nsentinel announce-ip {ip}\n\
         sentinel monitor {NAME} {primary_ip} {primary_port} 2\n\
         sentinel down-after-milliseconds {NAME} {down_after_ms}\n\
         sentinel failover-timeout {NAME} {failover_timeout_ms}\n"
    )
}

impl Sentinel {
    /// A `SENTINEL` command, and its reply as it is on the wire.
    pub fn ask(&self, words: &str) -> Option<String> {
        ask(self.address, &format!("SENTINEL {words}"))
    }
}
