//! A redis-server of a test's own, in a directory of its own, on a unix socket.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::FromRedisValue;

/// A running redis-server. It is killed when this is dropped.
pub struct Redis {
    dir: tempfile::TempDir,
    options: Vec<String>,
    child: Child,
}

impl Redis {
    /// Append-only, synced always, as the README recommends.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further options, such as `["--maxmemory", "2mb"]`.
    pub fn start_with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let child = spawn(&dir, &options);
        let redis = Self { dir, options, child };
        redis.wait();
        redis
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
        let port_text = port.to_string();
        let of = of.map(|of| of.to_string());
        let mut options =
            vec!["--port", &port_text, "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0"];
        if let Some(of) = &of {
            options.extend(["--replicaof", "127.0.0.1", of]);
        }
        options.extend(more);
        (Self::start_with(&options), port)
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// For `--redis`.
    pub fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// A connection of the test's own.
    pub fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// One command, its words separated by blanks.
    pub fn run<T: FromRedisValue>(&self, words: &str) -> T {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query(&mut self.connection()).unwrap()
    }

    fn wait(&self) {
        let start = Instant::now();
        loop {
            let answers = redis::Client::open(self.url())
                .and_then(|client| client.get_connection())
                .and_then(|mut conn| redis::cmd("PING").query::<String>(&mut conn));
            if answers.is_ok() {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "redis-server does not answer: {answers:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL, as a crash.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again on the same files, with the options that it had.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.dir, &self.options);
        self.wait();
    }

    /// SIGSTOP; returns once it stands still.
    pub async fn stop(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.child.id());
        super::eventually("redis-server stands still", || async {
            // The state comes after the name, which is in parentheses.
            let stat = std::fs::read_to_string(&stat).unwrap();
            stat.rsplit(") ").next().unwrap().starts_with('T').then_some(())
        })
        .await;
    }

    /// A line of `INFO`.
    pub fn info(&self, name: &str) -> String {
        let info: String = self.run("INFO");
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().to_owned()
    }

    /// Its directory.
    pub fn files(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Sends a signal: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        super::gateway::signal(self.child.id(), name);
    }
}

/// A port that is free at the moment, for programs that can't say which one they have chosen.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Drop for Redis {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(dir: &tempfile::TempDir, options: &[String]) -> Child {
    Command::new("redis-server")
        .args([
            "--port",
            "0",
            "--unixsocket",
            "s",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ])
        .args(["--maxmemory-policy", "noeviction"])
        .args(options)
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server must be installed; scripts/test does that")
}
