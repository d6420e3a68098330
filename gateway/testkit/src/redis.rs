//! Starts a redis-server in its own directory, on a unix socket and optionally at an address.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{FromRedisValue, InfoDict};
use rustix::process::Signal;

use crate::Failed;
use crate::files::{Folder, free_port};
use crate::program::{Program, under};

/// Synced always, as the durability `fsync` needs it.
pub const SYNCED_ALWAYS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];
/// For the answer of a server that may be stopped.
const ANSWER: Duration = Duration::from_secs(3);

/// What a redis-server is started with.
#[derive(Default)]
pub struct RedisSetup<'a> {
    /// Further options.
    pub options: &'a [&'a str],
    /// Where it listens besides its socket.
    pub address: Option<SocketAddr>,
    /// Its directory; by default a new one, which goes with it.
    pub dir: Option<&'a Path>,
    /// The program that runs it, such as `taskset`.
    pub under: &'a [&'a str],
    pub envs: &'a [(String, String)],
    /// The name under which failures and logs call it.
    pub name: Option<&'a str>,
    /// Where its output goes; nowhere by default.
    pub log: Option<&'a Path>,
    /// It outlives its owner, with its process id in this file; it needs a `dir` then.
    pub pid_file: Option<&'a Path>,
}

/// A running redis-server. It is killed when this is dropped, unless its setup has a `pid_file`.
pub struct Redis {
    pub program: Program,
    address: Option<SocketAddr>,
    dir: Folder,
}

impl RedisSetup<'_> {
    /// Starts it and waits until it answers.
    pub fn start(&self) -> Result<Redis, Failed> {
        let dir = Folder::new(self.dir)?;
        let mut command = under(self.under, "redis-server");
        command.args(["--unixsocket", "s", "--save", "", "--maxmemory-policy", "noeviction"]);
        command.args(["--repl-diskless-sync-delay", "0"]);
        match self.address {
            Some(address) => {
                command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()])
            }
            None => command.args(["--port", "0"]),
        };
        command.args(self.options).envs(self.envs.iter().cloned()).current_dir(&dir.path);
        if self.log.is_none() {
            command.stdout(std::process::Stdio::null());
        }
        let mut program = Program::new(self.name.unwrap_or("redis-server"), command);
        if let Some(log) = self.log {
            program = program.log_to(log)?;
        }
        if let Some(file) = self.pid_file {
            program = program.outliving(file);
        }
        let mut redis = Redis { program, address: self.address, dir };
        redis.start_again()?;
        Ok(redis)
    }
}

impl Redis {
    /// With an append-only file that is synced always, as `docs/deployment.md` recommends.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further options, such as `["--maxmemory", "2mb"]`.
    pub fn start_with(options: &[&str]) -> Self {
        let options = [&SYNCED_ALWAYS, options].concat();
        RedisSetup { options: &options, ..RedisSetup::default() }.start().unwrap()
    }

    /// A primary, and a replica that follows it.
    pub fn with_replica() -> (Self, Self) {
        let (primary, port) = Self::at_a_port(None);
        (primary, Self::at_a_port(Some(port)).0)
    }

    /// One that others can reach at a port, a primary or a replica of the one at that port.
    pub fn at_a_port(of: Option<u16>) -> (Self, u16) {
        Self::at_a_port_with(of, &[])
    }

    /// With further options.
    pub fn at_a_port_with(of: Option<u16>, more: &[&str]) -> (Self, u16) {
        let port = free_port();
        let of = of.map(|of| of.to_string());
        let mut options = SYNCED_ALWAYS.to_vec();
        if let Some(of) = &of {
            options.extend(["--replicaof", "127.0.0.1", of]);
        }
        options.extend(more);
        let address = Some(([127, 0, 0, 1], port).into());
        (RedisSetup { options: &options, address, ..RedisSetup::default() }.start().unwrap(), port)
    }

    /// Where it listens besides its socket; of one whose setup has an address.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("its setup has an address")
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path.join("s")
    }

    /// For `--redis`.
    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Its directory.
    pub fn files(&self) -> &Path {
        &self.dir.path
    }

    /// A connection of the caller's own.
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// One command, its words separated by blanks.
    pub fn run<T: FromRedisValue>(&self, words: &str) -> T {
        self.command(&words.split(' ').collect::<Vec<_>>())
    }

    /// One command.
    pub fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut self.connection()).unwrap()
    }

    /// A line of `INFO`.
    pub fn info(&self, name: &str) -> String {
        self.run::<InfoDict>("INFO").get(name).unwrap()
    }

    /// One command over its address, as a reply on the wire; `None` if it does not answer soon.
    pub fn ask(&self, words: &str) -> Option<String> {
        ask(self.address(), words)
    }

    /// One command over its address, which must be carried out.
    pub fn send_command(&self, words: &str) -> Result<(), Failed> {
        match self.ask(words) {
            Some(answer) if answer.starts_with('-') || answer.is_empty() => {
                Err(Failed::Outside(format!("{words}: {}", answer.trim())))
            }
            Some(_) => Ok(()),
            None => Err(Failed::Outside(format!("{words}: no answer"))),
        }
    }

    /// SIGKILL, as a crash.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts again on the same files, with the options that it had, and waits until it answers.
    pub fn start_again(&mut self) -> Result<(), Failed> {
        let client = redis::Client::open(self.url()).map_err(Failed::to("open a client"))?;
        self.program.start_until(|| {
            let mut connection = client.get_connection_with_timeout(ANSWER).ok()?;
            redis::cmd("PING").query::<String>(&mut connection).ok().map(drop)
        })
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// SIGSTOP; returns once it is stopped.
    pub fn stop(&self) {
        self.program.stop().unwrap();
    }
}

/// One command to a Redis or a sentinel, and its reply as it is on the wire; `None` if there is none soon.
pub fn ask(address: SocketAddr, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER).ok()?;
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    stream.write_all(format!("{words}\r\n").as_bytes()).ok()?;
    // It answers what it has got, and closes when it sees that no more comes. Sentinels have no `QUIT`.
    stream.shutdown(Shutdown::Write).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
