//! The servers that are measured: real programs on loopback, each in a directory of its own, ended by their ids.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::Failure;

/// A server that does not answer by then is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program; it ends with this value.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Where a gateway listens for ops.
    pub(crate) ops: Option<SocketAddr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // What it started itself (nginx: its workers) ends with it.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Server {
    /// Starts a program on these CPUs that will listen at `address`, its output going to `log`.
    fn start(command: &mut Command, cpus: &str, address: SocketAddr, log: &Path) -> Result<Self, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut pinned = Command::new("taskset");
        pinned.args(["-c", cpus]).arg(command.get_program()).args(command.get_args());
        let command = &mut pinned;
        let file = fs::File::create(log).map_err(Failure::outside("can't make a log"))?;
        let errors = file.try_clone().map_err(Failure::outside("can't make a log"))?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = command.spawn().map_err(Failure::outside(&format!("can't start {name}")))?;
        let mut server = Self { child, address, ops: None };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = !matches!(server.child.try_wait(), Ok(None));
            if ended || started.elapsed() > PATIENCE {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(Failure::Outside(format!("{name} does not listen on {address}:\n{said}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// CPU time so far, of all its threads and of the processes that it started.
    pub(crate) fn cpu(&self) -> Duration {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let children = children.split_ascii_whitespace().map(str::to_owned);
        children.chain([id.to_string()]).map(|process| cpu_of(&process)).sum()
    }

    /// Memory that is resident, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) -> Result<(), Failure> {
        let done = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        let done = done.map_err(Failure::outside("can't start kill"))?;
        if done.success() { Ok(()) } else { Err(Failure::Outside(format!("kill -{name} failed"))) }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    cpu_of("self")
}

/// CPU time of all programs that this one started and that have ended, in steps of 10 ms: fields 16 and 17 of proc(5)'s stat.
pub(crate) fn children_cpu() -> Duration {
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in brackets, may have blanks in it.
    let fields: Vec<u32> = match stat.rsplit_once(')') {
        Some((_, rest)) => {
            rest.split_ascii_whitespace().skip(13).take(2).filter_map(|n| n.parse().ok()).collect()
        }
        None => Vec::new(),
    };
    TICK * fields.iter().sum::<u32>()
}

/// The first field of schedstat is the time on a CPU in nanoseconds; /proc's usual ticks are 10 ms.
fn cpu_of(process: &str) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let times = tasks.map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or_default()
    });
    Duration::from_nanos(times.sum())
}

/// The CPUs of a server with so many workers: as many, and not all of them if there are others. What is
/// measured does not share its CPU with Redis and the generator then, and runs can be compared.
fn server_cpus(workers: usize) -> String {
    listed(&cpus()[..workers.min(cpus().len())])
}

/// The CPUs of everything else while a server with so many workers is measured.
fn others_cpus(workers: usize) -> String {
    listed(cpus().get(workers..).filter(|rest| !rest.is_empty()).unwrap_or(cpus()))
}

fn listed(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

/// Those that this process was given, before it bound itself to some of them.
fn cpus() -> &'static [usize] {
    static CPUS: OnceLock<Vec<usize>> = OnceLock::new();
    CPUS.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        allowed(list.unwrap_or("0"))
    })
}

/// A list as the kernel writes it: `0-3,8`.
fn allowed(list: &str) -> Vec<usize> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    };
    list.trim().split(',').filter_map(range).flatten().collect()
}

/// Binds this thread, and what it starts, to what a server with so many workers leaves free.
pub(crate) fn make_room(workers: usize) -> Result<(), Failure> {
    let id = std::process::id().to_string();
    let done =
        Command::new("taskset").args(["-cp", &others_cpus(workers), &id]).stdout(Stdio::null()).status();
    let done = done.map_err(Failure::outside("can't start taskset"))?;
    if done.success() { Ok(()) } else { Err(Failure::Outside("taskset failed".into())) }
}

/// How safe a change is before anybody is told of it: Redis is set so, and the gateway is told to see to it.
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
        place.write("secret", "only for the bench, and never beyond loopback")?;
        place.write("ops", "bench an-ops-token-that-is-only-for-the-bench")?;
        Ok(place)
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that nobody else may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(Failure::outside(&format!("can't write {}", path.display())))?;
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
        let said = [output.stdout, output.stderr].concat();
        Err(Failure::Wrong(format!("{name} {}: {}", args.join(" "), String::from_utf8_lossy(&said))))
    }

    /// A redis-server without snapshots, beside a server with so many workers.
    pub(crate) fn redis(&self, level: Level, workers: usize) -> Result<Server, Failure> {
        self.redis_with(level, workers, &[])
    }

    /// A replica of one. Whoever waits for it waits until it is in step.
    pub(crate) fn replica(&self, of: &Server, workers: usize) -> Result<Server, Failure> {
        let (host, port) = (of.address.ip().to_string(), of.address.port().to_string());
        self.redis_with(Level::None, workers, &["--replicaof", &host, &port])
    }

    fn redis_with(&self, level: Level, workers: usize, options: &[&str]) -> Result<Server, Failure> {
        let address = free_address()?;
        let dir = tempfile::Builder::new().prefix("redis-").tempdir_in(self.dir.path());
        // It goes with the place that it is in.
        let dir = dir.map_err(Failure::outside("can't make a directory"))?.keep();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(&dir);
        let (on, sync) = match level {
            Level::None | Level::Replica => ("no", "no"),
            Level::Aof => ("yes", "everysec"),
            Level::Fsync => ("yes", "always"),
        };
        command
            .args(["--appendonly", on, "--appendfsync", sync, "--repl-diskless-sync-delay", "0"])
            .args(options);
        Server::start(&mut command, &others_cpus(workers), address, &dir.join("log"))
    }

    /// A gateway as shipped, started by this program if there is one, with these options besides.
    pub(crate) fn gateway(
        &self,
        ledger: SocketAddr,
        workers: usize,
        wrapper: &[&str],
        options: &[&str],
    ) -> Result<Server, Failure> {
        let (address, ops) = (free_address()?, free_address()?);
        let program = self.bin.join("gateway");
        let mut command = match wrapper {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(["serve", "--listen", &address.to_string(), "--ops-listen", &ops.to_string()]);
        command.args(["--redis", &format!("redis://{ledger}"), "--workers", &workers.to_string()]);
        // Room for all connections of the bench at once, each with a tap in the queue, all from one address.
        let room = [
            ["--connections-max", "20000"],
            ["--connections-per-address-max", "off"],
            ["--queue-max", "20000"],
            ["--in-flight-max", "25000"],
            ["--queue-delay-max-ms", "10000"],
            ["--limit-address", "100000000:100000000"],
        ];
        room.iter().filter(|option| !options.contains(&option[0])).for_each(|option| {
            command.args(option);
        });
        command.args(options);
        command.arg("--auth-secret-file").arg(self.path("secret"));
        command.arg("--ops-token-file").arg(self.path("ops"));
        let log = self.path(&format!("gateway-{}.log", address.port()));
        let mut server = Server::start(&mut command, &server_cpus(workers), address, &log)?;
        server.ops = Some(ops);
        let started = Instant::now();
        while !get(ops, "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            if started.elapsed() > PATIENCE {
                return Err(Failure::Outside("the gateway does not become ready".into()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Bare hyper, whose answers have so many bytes.
    pub(crate) fn floor(&self, workers: usize, bytes: usize, header_bytes: usize) -> Result<Server, Failure> {
        let address = free_address()?;
        let mut command = self.program("examples/floor");
        command.args(["--listen", &address.to_string(), "--workers", &workers.to_string()]);
        command.args(["--bytes", &bytes.to_string(), "--header-bytes", &header_bytes.to_string()]);
        let log = self.path(&format!("floor-{}.log", address.port()));
        Server::start(&mut command, &server_cpus(workers), address, &log)
    }

    /// nginx with the configuration at this path, which is told its address by the caller.
    pub(crate) fn nginx(&self, config: &Path, address: SocketAddr) -> Result<Server, Failure> {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(self.dir.path()).arg("-c").arg(config).args(["-g", "daemon off;"]);
        Server::start(&mut command, &server_cpus(1), address, &self.path("nginx.log"))
    }
}

/// How a redis-server is called.
pub(crate) fn url(redis: &Server) -> String {
    format!("redis://{}", redis.address)
}

/// A loopback address that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|l| l.local_addr()).map_err(Failure::outside("there is no free port"))
}

/// The answer to a GET on a connection of its own, head and all.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n"))
}

/// All that is answered to a request after which the server closes the connection.
pub(crate) fn exchange(address: SocketAddr, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A number of Redis's `INFO`, by its name; 0 where there is none.
pub(crate) fn info(redis: &Server, names: [&str; 2]) -> [u64; 2] {
    let text = exchange(redis.address, "INFO\r\nQUIT\r\n").unwrap_or_default();
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
    rate.ok_or_else(|| Failure::Outside(format!("wrk told no rate:\n{reply}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_cpus_is_read() {
        assert_eq!(allowed("\t0-3,8\n"), [0, 1, 2, 3, 8]);
        assert_eq!(allowed("5"), [5]);
        assert_eq!(listed(&allowed("0-1,4")), "0,1,4");
    }
}
