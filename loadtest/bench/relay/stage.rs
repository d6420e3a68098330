//! Starts what is measured: Redis, a gateway, PostgreSQL and a relay, all on the same CPUs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::files::local_address;
use testkit::gateway::{Gateway, clean};
use testkit::options::Level;
use testkit::postgres::Postgres;
use testkit::program::Program;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::{Failed, block_on, wait_for};

use crate::cases::{Case, audit, define};
use crate::relay::{CPUS, SALE, STORES};
use crate::servers::{gateway, own_cpu, redis};

pub(super) const DATABASE: &str = "orders";
/// As deployed: every change is on the disk before its answer, and a tap that would wait for longer is refused.
const DURABILITY: Level = Level::Fsync;
const QUEUE_DELAY_MS: &str = "200";

pub(super) struct Stage {
    folder: RunFolder,
    redis: Redis,
    pub(super) gateway: Gateway,
    pub(super) postgres: Postgres,
    metrics: SocketAddr,
}

impl Stage {
    pub(super) fn set(folder: RunFolder) -> Result<Self, Failed> {
        let redis = redis(DURABILITY, CPUS)?;
        define(&folder, &redis, STORES, 0)?;
        let options = ["--durability", DURABILITY.option(), "--queue-delay-max-ms", QUEUE_DELAY_MS];
        let gateway = gateway(&folder, redis.address(), CPUS, &[], &options)?;
        let postgres = Postgres::start_durable()?;
        postgres.try_sql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
        let stage = Self { folder, redis, gateway, postgres, metrics: local_address() };
        // It makes the tables.
        stage.catch_up()?;
        Ok(stage)
    }

    /// Runs a relay until it has all changes; how long that took.
    pub(super) fn catch_up(&self) -> Result<Duration, Failed> {
        let started = Instant::now();
        let mut relay = self.command(&["--until-caught-up"])?;
        relay.spawn()?;
        let status = relay.wait();
        if !status.success() {
            return Err(Failed::Wrong(format!("the relay ended with {status}: {}", self.log())));
        }
        Ok(started.elapsed())
    }

    /// Starts a relay that goes on; its metrics are at this address.
    pub(super) fn relay(&self) -> Result<(Program, SocketAddr), Failed> {
        let mut relay = self.command(&["--metrics-listen", &self.metrics.to_string()])?;
        relay.start_at(self.metrics)?;
        Ok((relay, self.metrics))
    }

    fn command(&self, options: &[&str]) -> Result<Program, Failed> {
        let mut command = clean(self.folder.program("relay"));
        command.args([SALE, "--from-ops", &self.gateway.ops_url, "--postgres", &self.url()]);
        command.arg("--token-file").arg(self.folder.path("ops")).args(options);
        Program::new("relay", command).log_to(&self.folder.path("relay.log"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path("relay.log")).unwrap_or_default()
    }

    pub(super) fn url(&self) -> String {
        self.postgres.url(DATABASE)
    }

    /// Waits until the copy has all changes of the ledger, which rests.
    pub(super) fn is_copied(&self) -> Result<(), Failed> {
        let cursor = format!("SELECT cursor FROM cursor WHERE sale = '{SALE}'");
        wait_for("the copy has all changes of the ledger", || {
            let cursor = self.postgres.try_sql(DATABASE, &cursor).ok()?;
            let path = format!("/admin/v1/sales/{SALE}/journal?limit=1&from={}", cursor.trim());
            let reply = block_on(self.gateway.ops_get(&path));
            (reply.status == 200 && reply.text.is_empty()).then_some(())
        })
    }

    /// Proves that the ledger balances.
    pub(super) fn audit(&self) -> Result<(), Failed> {
        audit(&self.folder, &self.redis, Case::Won)
    }

    /// CPU time so far: gateway, Redis, PostgreSQL, the relay, this program.
    pub(super) fn cpu(&self, relay: Option<&Program>) -> [Duration; 5] {
        let relay = relay.map(Program::cpu).unwrap_or_default();
        [self.gateway.program.cpu(), self.redis.program.cpu(), self.postgres.cpu(), relay, own_cpu()]
    }
}
