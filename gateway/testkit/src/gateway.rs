//! Starts the gateway binary on free ports, and calls it.

mod client;
mod setup;

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

pub use client::{ANSWER, Client, Reply, client, send, service_token, token};
use rustix::process::Signal;
use serde_json::Value;
pub use setup::{GatewaySetup, random_text, usual_options, write_secrets};
use tempfile::TempDir;

use crate::Failed;
use crate::files::local_address;
use crate::program::{Program, ours};
use crate::redis::Redis;

/// What HS256 tokens of the tests are signed with.
pub const SECRET: &str = "a secret of the tests, at least 32 bytes";
/// The ops token of `ops`.
pub const OPS_TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A running gateway. It is killed when this is dropped.
pub struct Gateway {
    pub program: Program,
    files: TempDir,
    pub client: Client,
}

impl Deref for Gateway {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Gateway {
    /// Starts one on this Redis and waits until it is ready.
    pub async fn start(redis: &Redis) -> Self {
        Self::start_with(redis, &[]).await
    }

    /// With further options.
    pub async fn start_with(redis: &Redis, options: &[&str]) -> Self {
        Self::start_at(&redis.url(), options).await
    }

    /// Starts one on the Redis at this URL and waits until it is ready.
    pub async fn start_at(url: &str, options: &[&str]) -> Self {
        let gateway = Self::spawn_at(url, options);
        gateway.ready().await;
        gateway
    }

    /// Starts one and waits only until its ports are open.
    pub fn spawn(redis: &Redis, options: &[&str]) -> Self {
        Self::spawn_at(&redis.url(), options)
    }

    /// Starts one on the Redis at this URL and waits only until its ports are open.
    pub fn spawn_at(redis: &str, options: &[&str]) -> Self {
        GatewaySetup { redis, options, ..GatewaySetup::default() }.start().unwrap()
    }

    /// Starts one that logs all it can into this file, and waits until its ports are open.
    pub fn spawn_logging(redis: &str, options: &[&str], log: &Path) -> Self {
        let options = [&["--log-level", "trace"], options].concat();
        GatewaySetup { redis, options: &options, log: Some(log), ..GatewaySetup::default() }.start().unwrap()
    }

    /// Starts one that writes to these, and waits for nothing.
    pub fn spawn_mute(redis: &Redis, options: &[&str], out: Stdio, log: Stdio) -> Self {
        let [listen, ops_listen] = [(); 2].map(|()| local_address().to_string());
        let options = [&["--listen", &listen, "--ops-listen", &ops_listen], options].concat();
        let files = tempfile::tempdir().unwrap();
        write_secrets(files.path(), SECRET, OPS_TOKEN).unwrap();
        let setup = GatewaySetup { redis: &redis.url(), options: &options, ..GatewaySetup::default() };
        let mut command = setup.command(files.path());
        command.stdout(out).stderr(log);
        let program = Program::once("gateway", command).unwrap();
        let client = Client::new(format!("http://{listen}"), format!("http://{ops_listen}"));
        Self { program, files, client }
    }

    /// Starts it, also again, with the options that it had, and waits until its ports are open.
    pub fn start_again(&mut self) -> Result<(), Failed> {
        self.program.spawn()?;
        let out = self.program.stdout().expect("the setup pipes it");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).map_err(Failed::to("read the gateway's addresses"))?;
        let addresses: Value =
            serde_json::from_str(&line).map_err(|_| self.program.failed("has not printed its addresses"))?;
        let url = |name: &str| format!("http://{}", addresses[name].as_str().unwrap());
        (self.client.url, self.client.ops_url) = (url("listen"), url("ops_listen"));
        Ok(())
    }

    /// The file with [`SECRET`].
    pub fn secret_file(&self) -> PathBuf {
        self.files.path().join("secret")
    }

    /// The file with [`OPS_TOKEN`].
    pub fn ops_token_file(&self) -> PathBuf {
        self.files.path().join("ops")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// Whether the process has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.program.ended()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }
}

/// The gateway as a command.
pub fn binary() -> Command {
    clean(Command::new(ours("gateway")))
}

/// Without what the developer has set for a gateway: it must not change a test.
pub fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LAUNCHGATE_")) {
        command.env_remove(name);
    }
    command
}
