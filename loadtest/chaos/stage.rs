//! What a launch is played on: redis-servers, sentinels and gateways, each Redis with a loopback address of its own, so that it can be cut
//! off like a host; and the sale.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::faults::{Fault, Need};
use crate::link::Link;
use crate::programs::{Program, call, free_address, wait_for, watch};
use crate::schedule::{GATEWAYS, Launch};
use crate::{Failure, machine};

/// The sale's id.
pub(crate) const SALE: &str = "chaos";
/// Cars of each model: so few that they are all gone before the last buyer comes.
pub(crate) const STOCK: [(&str, u64); 2] = [("white", 210), ("black", 120)];
/// Packages with a limit.
pub(crate) const PACKAGES: [(&str, u64); 1] = [("cover", 90)];
/// Stores with city and capacity.
pub(crate) const STORES: [(&str, &str, u64); 2] = [("gz-1", "Guangzhou", 300), ("sh-1", "Shanghai", 300)];
/// From its definition to the opening: the load generator has to be there by then.
const OPENS_IN: Duration = Duration::from_secs(4);
/// A small disk's bytes.
const DISK: &str = "16m";
/// Of sentinels: long enough that a busy machine is not taken for a primary that is gone.
const DOWN_AFTER_MS: u64 = 2_000;
const SECRET: &str = "only for chaos, and never beyond loopback";
/// The ops token.
const OPS_TOKEN: &str = "an-ops-token-that-is-only-for-chaos";

/// All that runs during a launch. It ends when this is dropped: gateways, sentinels, Redis, files.
pub(crate) struct Stage {
    pub(crate) gateways: Vec<Program>,
    /// Where the gateways listen for ops.
    pub(crate) ops: Vec<SocketAddr>,
    /// Between each gateway and Redis, where the fault is a slow link.
    pub(crate) links: Vec<Link>,
    pub(crate) sentinels: Vec<Program>,
    /// The first was the primary at the start.
    pub(crate) redises: Vec<Program>,
    /// For `--redis` of whoever is no part of the launch.
    pub(crate) url: String,
    /// Where Redis reads how far its clock is off.
    pub(crate) clock: PathBuf,
    disk: Option<PathBuf>,
    bin: PathBuf,
    dir: tempfile::TempDir,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.redises.clear();
        if let Some(disk) = &self.disk {
            let _ = Command::new("umount").arg("--lazy").arg(disk).status();
        }
    }
}

/// The address of the n-th Redis's host.
pub(crate) fn host(n: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, 1, u8::try_from(n + 1).unwrap_or(u8::MAX)).into()
}

/// What loopback connections come from that are not bound: those of the gateways.
pub(crate) const GATEWAYS_FROM: Ipv4Addr = Ipv4Addr::LOCALHOST;

impl Stage {
    /// Starts all that the launch needs and waits until every gateway is ready.
    pub(crate) fn set(bin: &Path, launch: &Launch) -> Result<Self, Failure> {
        let dir = tempfile::tempdir().map_err(Failure::outside("can't make a directory"))?;
        let mut stage = Self {
            gateways: Vec::new(),
            ops: Vec::new(),
            links: Vec::new(),
            sentinels: Vec::new(),
            redises: Vec::new(),
            url: String::new(),
            clock: dir.path().join("clock"),
            disk: None,
            bin: bin.to_owned(),
            dir,
        };
        stage.write("secret", SECRET)?;
        stage.write("ops", &format!("chaos {OPS_TOKEN}"))?;
        stage.write("clock", "+0s")?;
        let is_replicated = launch.level.replicas() > 0 || launch.fault.is_about_replicas();
        for n in 0..if is_replicated { 3 } else { 1 } {
            stage.start_redis(n, launch)?;
        }
        stage.url = format!("redis://{}", stage.redises[0].address);
        if is_replicated {
            stage.start_sentinels()?;
        }
        for _ in 0..GATEWAYS {
            stage.start_gateway(launch)?;
        }
        Ok(stage)
    }

    fn start_redis(&mut self, n: usize, launch: &Launch) -> Result<(), Failure> {
        let dir = self.path(&format!("redis-{}", n + 1));
        fs::create_dir(&dir).map_err(Failure::outside("can't make a directory"))?;
        if launch.fault.need() == Need::Mount && n == 0 {
            machine::mount(&dir, DISK)?;
            self.disk = Some(dir.clone());
        }
        let address = free_address(host(n))?;
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let [appendonly, appendfsync] = launch.level.file();
        let mut args =
            words(&["--bind", &ip, "--bind-source-addr", &ip, "--port", &port, "--protected-mode", "no"]);
        args.extend(words(&[
            "--dir",
            &dir.to_string_lossy(),
            "--save",
            "",
            "--maxmemory-policy",
            "noeviction",
        ]));
        args.extend(words(&["--appendonly", appendonly, "--appendfsync", appendfsync]));
        args.extend(words(&["--repl-diskless-sync-delay", "0"]));
        let replicas = launch.level.replicas();
        if replicas > 0 {
            args.extend(words(&[
                "--min-replicas-to-write",
                &replicas.to_string(),
                "--min-replicas-max-lag",
                "3",
            ]));
        }
        if let Some(primary) = self.redises.first() {
            let primary = primary.address;
            args.extend(words(&["--replicaof", &primary.ip().to_string(), &primary.port().to_string()]));
        }
        let log = self.path(&format!("redis-{}.log", n + 1));
        let redis = Program::new(&format!("redis {}", n + 1), Path::new("redis-server"), args, address, log);
        let envs =
            if launch.fault.need() == Need::Faketime { machine::faketime(&self.clock)? } else { Vec::new() };
        self.redises.push(redis.with_envs(envs));
        self.redises[n].start()
    }

    /// Three that agree by two, and know each other and both replicas.
    fn start_sentinels(&mut self) -> Result<(), Failure> {
        let primary = self.redises[0].address;
        wait_for("both replicas are in step", || {
            let info = self.redises[0].ask("INFO replication")?;
            (info.matches("state=online").count() == 2).then_some(())
        })?;
        for n in 0..3 {
            let address = free_address(host(n))?;
            let (ip, port) = (address.ip(), address.port());
            let settings = format!(
                "port {port}\nbind {ip}\nbind-source-addr {ip}\nprotected-mode no\n\
                 sentinel announce-ip {ip}\nsentinel monitor ledger {} {} 2\n\
                 sentinel down-after-milliseconds ledger {DOWN_AFTER_MS}\nsentinel failover-timeout ledger 6000\n",
                primary.ip(),
                primary.port()
            );
            let file = self.write(&format!("sentinel-{}.conf", n + 1), &settings)?;
            let args = words(&[&file.to_string_lossy(), "--sentinel"]);
            let log = self.path(&format!("sentinel-{}.log", n + 1));
            let name = format!("sentinel {}", n + 1);
            let mut sentinel = Program::new(&name, Path::new("redis-server"), args, address, log);
            sentinel.start()?;
            self.sentinels.push(sentinel);
        }
        wait_for("the sentinels know each other and both replicas", || {
            let all = self.sentinels.iter().all(|sentinel| {
                let agreed = sentinel.ask("SENTINEL CKQUORUM ledger");
                let replicas = sentinel.ask("SENTINEL REPLICAS ledger");
                agreed.is_some_and(|history| history.starts_with("+OK 3"))
                    && replicas.is_some_and(|history| history.matches("\nrunid\r").count() == 2)
            });
            all.then_some(())
        })?;
        let hosts: Vec<String> = self.sentinels.iter().map(|sentinel| sentinel.address.to_string()).collect();
        self.url = format!("redis+sentinel://{}/ledger", hosts.join(","));
        Ok(())
    }

    fn start_gateway(&mut self, launch: &Launch) -> Result<(), Failure> {
        let mut url = self.url.clone();
        if launch.fault == Fault::Delay {
            let link = Link::start(self.redises[0].address)?;
            url = format!("redis://{}", link.address);
            self.links.push(link);
        }
        let n = self.gateways.len() + 1;
        let (address, ops) =
            (free_address(Ipv4Addr::LOCALHOST.into())?, free_address(Ipv4Addr::LOCALHOST.into())?);
        let [secret, tokens] = ["secret", "ops"].map(|name| self.path(name).to_string_lossy().into_owned());
        let mut args = words(&["serve", "--listen", &address.to_string(), "--ops-listen", &ops.to_string()]);
        args.extend(words(&["--redis", &url, "--durability", launch.level.option(), "--workers", "1"]));
        args.extend(words(&[
            "--auth-secret-file",
            &secret,
            "--ops-token-file",
            &tokens,
            "--log-level",
            "warn",
        ]));
        args.extend(words(&[
            "--drain-delay-ms",
            "200",
            "--limit-address",
            "off",
            "--connections-per-address-max",
            "off",
            "--limit-unverified",
            "off",
        ]));
        args.extend(words(&["--limit-buyer", "off", "--limit-keys-max", "10000", "--audit-interval-s", "5"]));
        let log = self.path(&format!("gateway-{n}.log"));
        let mut gateway =
            Program::new(&format!("gateway {n}"), &self.bin.join("gateway"), args, address, log);
        gateway.start()?;
        self.gateways.push(gateway);
        self.ops.push(ops);
        wait_for("the gateway is ready", || self.is_ready(n - 1).then_some(()))
    }

    /// Applies the sale; the instant of its opening.
    pub(crate) fn define(&self) -> Result<jiff::Timestamp, Failure> {
        let opens_at = jiff::Timestamp::now() + OPENS_IN;
        let mut text = format!(
            "[sale]\nid = \"{SALE}\"\nname = \"Chaos\"\nopens_at = {opens_at:.3}\ncloses_at = 2036-01-01T00:00:00Z\n\
             hold = \"10m\"\ngrace = \"60s\"\nper_buyer = 1\ncurrency = \"CNY\"\ndeposit = 99900\nrehearsal = true\n"
        );
        for (model, stock) in STOCK {
            text += &format!(
                "[[model]]\nid = \"{model}\"\nname = \"{model}\"\nprice = 4999900\nstock = {stock}\n"
            );
        }
        for (package, stock) in PACKAGES {
            text += &format!(
                "[[package]]\nid = \"{package}\"\nname = \"{package}\"\nprice = 29900\nstock = {stock}\n"
            );
        }
        text += "[[package]]\nid = \"maintenance\"\nname = \"maintenance\"\nprice = 59900\n[stores]\nfile = \"stores.csv\"\n";
        let stores = STORES.map(|(id, city, capacity)| format!("{id},{id},{city},{capacity}\n"));
        self.write("stores.csv", &format!("id,name,city,capacity\n{}", stores.concat()))?;
        let file = self.write("sale.toml", &text)?;
        let done = self.gateway(&["sale", "apply", &file.to_string_lossy(), "--redis", &self.url])?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            return Err(Failure::Outside(format!("the sale can't be defined: {said}")));
        }
        Ok(opens_at)
    }

    /// Runs a command of the gateway to its end.
    pub(crate) fn gateway(&self, args: &[&str]) -> Result<Output, Failure> {
        self.program("gateway").args(args).output().map_err(Failure::outside("can't start gateway"))
    }

    /// A program of ours.
    pub(crate) fn program(&self, name: &str) -> Command {
        Command::new(self.bin.join(name))
    }

    /// A path in the launch's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn is_ready(&self, gateway: usize) -> bool {
        call(self.ops[gateway], "GET /readyz", OPS_TOKEN, "", "").is_some_and(|(status, _)| status == 200)
    }

    /// What gateways say is wrong, the worst, in words.
    pub(crate) fn alarm(&self) -> Option<String> {
        let path = format!("/admin/v1/live?sale={SALE}");
        self.ops.iter().find_map(|ops| {
            let now = watch(*ops, &path, OPS_TOKEN, "{\"kind\":\"now\"")?;
            Some(now["alarms"].get(0)?["text"].as_str()?.to_owned())
        })
    }

    /// A buyer's token.
    pub(crate) fn token(&self, buyer: &str) -> Result<String, Failure> {
        let secret = self.path("secret");
        let done =
            self.gateway(&["token", "--sub", buyer, "--auth-secret-file", &secret.to_string_lossy()])?;
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// The Redis that is the primary by what most sentinels say, or the only one.
    pub(crate) fn primary(&self) -> usize {
        let votes = self.votes();
        (0..votes.len()).rev().max_by_key(|n| votes[*n]).unwrap_or(0)
    }

    /// How many sentinels call each Redis the primary.
    fn votes(&self) -> Vec<usize> {
        let all = self.sentinels.iter().filter_map(|s| s.ask("SENTINEL GET-MASTER-ADDR-BY-NAME ledger"));
        let mut votes = vec![0; self.redises.len()];
        for history in all {
            // Each has a host of its own.
            let is_it = |redis: &Program| history.contains(&format!("\n{}\r", redis.address.ip()));
            if let Some(n) = self.redises.iter().position(is_it) {
                votes[n] += 1;
            }
        }
        votes
    }

    /// Whether there is one primary, all sentinels say so, and all others follow it.
    pub(crate) fn is_agreed(&self) -> bool {
        let primary = self.primary();
        let agreed = self.votes()[primary] == self.sentinels.len();
        let others = self.redises.len() - 1;
        let online = self.redises[primary].ask("INFO replication").is_some_and(|info| {
            info.contains("role:master") && info.matches("state=online").count() == others
        });
        agreed && online
    }

    /// Writes a file that nobody else may read.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(Failure::outside(&format!("can't write {}", path.display())))?;
        Ok(path)
    }

    /// Keeps the launch's files for whoever wants to look.
    pub(crate) fn keep(mut self, to: &Path) -> Result<(), Failure> {
        self.gateways.clear();
        self.sentinels.clear();
        self.redises.clear();
        let done = Command::new("cp").arg("-r").arg(self.dir.path()).arg(to).status();
        done.map(drop).map_err(Failure::outside("can't keep the files"))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}
