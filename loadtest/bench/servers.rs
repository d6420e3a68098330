//! Starts the measured servers: real programs on loopback, pinned to CPUs.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use procfs::process::Process;
use testkit::cli::try_end;
use testkit::files::local_address;
use testkit::gateway::Gateway;
use testkit::options::Level;
use testkit::program::{Program, Server, cpu_of, under};
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, block_on, gateway, redis};

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

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    Process::myself().map(|own| cpu_of(&own)).unwrap_or_default()
}

/// CPU time of all programs that this one started and that have ended, in steps of 10 ms.
pub(crate) fn children_cpu() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = Process::myself().and_then(|own| own.stat());
    let ticks = stat.map(|stat| stat.cutime + stat.cstime).unwrap_or_default();
    TICK * u32::try_from(ticks).unwrap_or_default()
}

/// A redis-server without snapshots, beside a server with so many workers. A primary with a replica has no file.
pub(crate) fn redis(level: Level, workers: usize) -> Result<Redis, Failed> {
    let level = if level.replicas() > 0 { Level::None } else { level };
    redis_with(level, workers, &[])
}

/// A replica. It need not be in step with its primary yet.
pub(crate) fn replica(of: &Redis, workers: usize) -> Result<Redis, Failed> {
    let (host, port) = (of.address().ip().to_string(), of.address().port().to_string());
    redis_with(Level::None, workers, &["--replicaof", &host, &port])
}

fn redis_with(level: Level, workers: usize, more: &[&str]) -> Result<Redis, Failed> {
    let setup = redis::RedisSetup {
        options: &[&level.file(), more].concat(),
        address: Some(local_address()),
        under: &["taskset", "-c", &others_cpus(workers)],
        ..redis::RedisSetup::default()
    };
    setup.start()
}

/// A gateway as shipped, started by this program if there is one, with these options besides.
pub(crate) fn gateway(
    folder: &RunFolder,
    ledger: SocketAddr,
    workers: usize,
    wrapper: &[&str],
    options: &[&str],
) -> Result<Gateway, Failed> {
    let (workers_text, cpus) = (workers.to_string(), server_cpus(workers));
    let mut all = vec!["--workers", &workers_text];
    all.extend(ROOM.iter().filter(|option| !options.contains(&option[0])).flatten());
    all.extend(options);
    let setup = gateway::GatewaySetup {
        redis: &format!("redis://{ledger}"),
        options: &all,
        under: &[&["taskset", "-c", &cpus], wrapper].concat(),
        binary: Some(&folder.binary("gateway")),
        is_as_shipped: true,
        log: Some(&folder.path(&format!("gateway-{}.log", ledger.port()))),
        ..gateway::GatewaySetup::default()
    };
    let gateway = setup.start()?;
    block_on(gateway.ready());
    Ok(gateway)
}

/// Bare hyper with answers of this length.
pub(crate) fn floor(
    folder: &RunFolder,
    workers: usize,
    bytes: usize,
    header_bytes: usize,
) -> Result<Server, Failed> {
    let address = local_address();
    let mut command = under(&["taskset", "-c", &server_cpus(workers)], folder.binary("examples/floor"));
    command.args(["--listen", &address.to_string(), "--workers", &workers.to_string()]);
    command.args(["--bytes", &bytes.to_string(), "--header-bytes", &header_bytes.to_string()]);
    let log = folder.path(&format!("floor-{}.log", address.port()));
    Server::start(Program::new("floor", command), address, &log)
}

/// nginx with the configuration at this path, which has its address from the caller.
pub(crate) fn nginx(folder: &RunFolder, config: &Path, address: SocketAddr) -> Result<Server, Failed> {
    let mut command = under(&["taskset", "-c", &server_cpus(1)], "nginx");
    command.arg("-p").arg(folder.path("")).arg("-c").arg(config).args(["-g", "daemon off;"]);
    // It ends its workers itself.
    Server::start(Program::new("nginx", command).ending_gently(), address, &folder.path("nginx.log"))
}

/// How a redis-server is called.
pub(crate) fn url(redis: &Redis) -> String {
    format!("redis://{}", redis.address())
}

/// Numbers of Redis's `INFO`, by their names; 0 where there is none.
pub(crate) fn info(redis: &Redis, names: [&str; 2]) -> [u64; 2] {
    let text = redis.ask("INFO").unwrap_or_default();
    names.map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|n| n.trim().parse().ok()).unwrap_or_default()
    })
}

/// Answers a second that wrk gets of a path over so many connections, on the CPUs of this process.
pub(crate) fn wrk(address: SocketAddr, path: &str, connections: usize) -> Result<f64, Failed> {
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-d", "2s", "-c", &connections.to_string(), &format!("http://{address}{path}")]);
    let reply = try_end(command)?.out;
    let rate = reply.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.ok_or_else(|| Failed::Outside(format!("wrk reported no rate:\n{reply}")))
}
