//! Starts the measured servers: real programs on loopback, pinned to CPUs, each in its own
//! directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::files::write_secret;
use testkit::gateway::{Gateway, OPS_TOKEN, SECRET, write_secrets};
use testkit::program::{Program, under};
use testkit::redis::{Redis, ask};
use testkit::{Signal, block_on, gateway, http, redis};

use crate::Failure;
use crate::cpus::{others_cpus, server_cpus};

/// Room for all connections of the bench at once, each with a tap in the queue, all from one address.
const ROOM: [[&str; 2]; 6] = [
    ["--connections-max", "20000"],
    ["--connections-per-address-max", "off"],
    ["--queue-max", "20000"],
    ["--in-flight-max", "25000"],
    ["--queue-delay-max-ms", "10000"],
    ["--limit-address", "100000000:100000000"],
];

/// A running program; it ends with this value.
pub(crate) struct Server {
    running: Running,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where a gateway listens for ops.
    pub(crate) ops: Option<SocketAddr>,
}

enum Running {
    Redis(Redis),
    Gateway(Gateway),
    Other(Program),
}

impl Server {
    fn of_redis(redis: Redis, address: SocketAddr) -> Self {
        Self { running: Running::Redis(redis), address, ops: None }
    }

    fn of_gateway(gateway: Gateway) -> Self {
        let (address, ops) = (gateway.address(), Some(gateway.ops_address()));
        Self { running: Running::Gateway(gateway), address, ops }
    }

    /// Starts a program on the CPUs of a server with so many workers that will listen at `address`.
    fn start(program: Program, address: SocketAddr, log: &Path) -> Result<Self, Failure> {
        let mut program = program.log_to(log)?;
        program.start_at(address)?;
        Ok(Self { running: Running::Other(program), address, ops: None })
    }

    fn program(&self) -> &Program {
        match &self.running {
            Running::Redis(redis) => &redis.program,
            Running::Gateway(gateway) => &gateway.program,
            Running::Other(program) => program,
        }
    }

    /// CPU time so far, of all its threads and of the processes that it started.
    pub(crate) fn cpu(&self) -> Duration {
        self.program().cpu()
    }

    /// Resident RAM, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.program().resident()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        self.program().signal(signal);
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.program().pid()
    }
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    procfs::process::Process::myself().map(|own| testkit::program::cpu_of(&own)).unwrap_or_default()
}

/// CPU time of all programs that this one started and that have ended, in steps of 10 ms.
pub(crate) fn children_cpu() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = procfs::process::Process::myself().and_then(|own| own.stat());
    let ticks = stat.map(|stat| stat.cutime + stat.cstime).unwrap_or_default();
    TICK * u32::try_from(ticks).unwrap_or_default()
}

/// The durability of a change before it is acknowledged: Redis and the gateway are configured for
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// In Redis's memory.
    None,
    /// In a file that is synced once a second.
    Aof,
    /// In a file that is synced before every answer.
    Fsync,
    /// In the memory of a replica, too.
    Replica,
}

impl Level {
    /// For `--durability`.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Aof => "aof",
            Self::Fsync => "fsync",
            Self::Replica => "replicas=1",
        }
    }
}

/// A directory of its own, where programs and files of one run are.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    /// Where `gateway` and `examples/` are.
    bin: PathBuf,
}

impl Place {
    /// A new one, with a secret and an ops token.
    pub(crate) fn new(bin: PathBuf) -> Result<Self, Failure> {
        let dir = tempfile::tempdir().map_err(Failure::outside("can't make a directory"))?;
        let place = Self { dir, bin };
        write_secrets(place.dir.path(), SECRET, OPS_TOKEN)?;
        Ok(place)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        write_secret(&path, text)?;
        Ok(path)
    }

    /// A program of ours.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.bin.join(name))
    }

    /// Runs a program of ours to its end; its output.
    pub(crate) fn run(&self, name: &str, args: &[&str]) -> Result<String, Failure> {
        let output = self.program(name).args(args).output();
        let output = output.map_err(Failure::outside(&format!("can't start {name}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let bytes = [output.stdout, output.stderr].concat();
        Err(Failure::Wrong(format!("{name} {}: {}", args.join(" "), String::from_utf8_lossy(&bytes))))
    }

    /// A redis-server without snapshots, beside a server with so many workers.
    pub(crate) fn redis(&self, level: Level, workers: usize) -> Result<Server, Failure> {
        redis_with(level, workers, &[])
    }

    /// A replica. It need not be in step with its primary yet.
    pub(crate) fn replica(&self, of: &Server, workers: usize) -> Result<Server, Failure> {
        let (host, port) = (of.address.ip().to_string(), of.address.port().to_string());
        redis_with(Level::None, workers, &["--replicaof", &host, &port])
    }

    /// A gateway as shipped, started by this program if there is one, with these options besides.
    pub(crate) fn gateway(
        &self,
        ledger: SocketAddr,
        workers: usize,
        wrapper: &[&str],
        options: &[&str],
    ) -> Result<Server, Failure> {
        let [secret, ops] = ["secret", "ops"].map(|name| self.path(name).to_string_lossy().into_owned());
        let (workers_text, cpus) = (workers.to_string(), server_cpus(workers));
        let mut all =
            vec!["--workers", &workers_text, "--auth-secret-file", &secret, "--ops-token-file", &ops];
        all.extend(ROOM.iter().filter(|option| !options.contains(&option[0])).flatten());
        all.extend(options);
        let setup = gateway::Setup {
            redis: &format!("redis://{ledger}"),
            options: &all,
            under: &[&["taskset", "-c", &cpus], wrapper].concat(),
            binary: Some(&self.bin.join("gateway")),
            is_as_shipped: true,
            log: Some(&self.path(&format!("gateway-{}.log", ledger.port()))),
            ..gateway::Setup::default()
        };
        let gateway = setup.start()?;
        block_on(gateway.ready());
        Ok(Server::of_gateway(gateway))
    }

    /// Bare hyper with answers of this length.
    pub(crate) fn floor(&self, workers: usize, bytes: usize, header_bytes: usize) -> Result<Server, Failure> {
        let address = free_address();
        let mut command = under(&["taskset", "-c", &server_cpus(workers)], self.bin.join("examples/floor"));
        command.args(["--listen", &address.to_string(), "--workers", &workers.to_string()]);
        command.args(["--bytes", &bytes.to_string(), "--header-bytes", &header_bytes.to_string()]);
        let log = self.path(&format!("floor-{}.log", address.port()));
        Server::start(Program::new("floor", command), address, &log)
    }

    /// nginx with the configuration at this path, which has its address from the caller.
    pub(crate) fn nginx(&self, config: &Path, address: SocketAddr) -> Result<Server, Failure> {
        let mut command = under(&["taskset", "-c", &server_cpus(1)], "nginx");
        command.arg("-p").arg(self.dir.path()).arg("-c").arg(config).args(["-g", "daemon off;"]);
        // It ends its workers itself.
        Server::start(Program::new("nginx", command).ending_gently(), address, &self.path("nginx.log"))
    }
}

fn redis_with(level: Level, workers: usize, more: &[&str]) -> Result<Server, Failure> {
    let (on, sync) = match level {
        Level::None | Level::Replica => ("no", "no"),
        Level::Aof => ("yes", "everysec"),
        Level::Fsync => ("yes", "always"),
    };
    let (address, cpus) = (free_address(), others_cpus(workers));
    let setup = redis::Setup {
        options: &[&["--appendonly", on, "--appendfsync", sync], more].concat(),
        address: Some(address),
        under: &["taskset", "-c", &cpus],
        ..redis::Setup::default()
    };
    Ok(Server::of_redis(setup.start()?, address))
}

/// How a redis-server is called.
pub(crate) fn url(redis: &Server) -> String {
    format!("redis://{}", redis.address)
}

/// A loopback address that is free.
pub(crate) fn free_address() -> SocketAddr {
    testkit::files::free_address(Ipv4Addr::LOCALHOST.into())
}

/// The answer to a GET on a connection of its own, head and all.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    http::exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n"))
}

/// A number of Redis's `INFO`, by its name; 0 where there is none.
pub(crate) fn info(redis: &Server, names: [&str; 2]) -> [u64; 2] {
    let text = ask(redis.address, "INFO").unwrap_or_default();
    names.map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|n| n.trim().parse().ok()).unwrap_or_default()
    })
}

/// Answers a second that wrk gets of a path over so many connections, on the CPUs of this process.
pub(crate) fn wrk(address: SocketAddr, path: &str, connections: usize) -> Result<f64, Failure> {
    let (connections, url) = (connections.to_string(), format!("http://{address}{path}"));
    let output = Command::new("wrk").args(["-t", "1", "-d", "2s", "-c", &connections, &url]).output();
    let output = output.map_err(Failure::outside("can't start wrk"))?;
    let reply = String::from_utf8_lossy(&output.stdout);
    let rate = reply.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.ok_or_else(|| Failure::Outside(format!("wrk reported no rate:\n{reply}")))
}
