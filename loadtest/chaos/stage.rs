//! Starts what a launch needs: Redis, sentinels, gateways and the sale. Each Redis has its own
//! loopback address, so that it can be cut off like a host.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use testkit::cli::output;
use testkit::files::{free_address, local_address};
use testkit::gateway::Gateway;
use testkit::link::Link;
use testkit::redis::Redis;
use testkit::run_folder::RunFolder;
use testkit::sentinel::Sentinel;
use testkit::{Failed, block_on, definition, gateway, redis, sentinel, wait_for};

use crate::faults::{Fault, Need};
use crate::machine;
use crate::schedule::{GATEWAYS, Launch};

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

/// All that runs during a launch. It ends when this is dropped: gateways, sentinels, Redis, files.
pub(crate) struct Stage {
    pub(crate) gateways: Vec<Gateway>,
    /// Between each gateway and Redis, where the fault is a slow link.
    pub(crate) links: Vec<Link>,
    pub(crate) sentinels: Vec<Sentinel>,
    /// The first was the primary at the start.
    pub(crate) redises: Vec<Redis>,
    /// The `--redis` of programs outside the launch.
    pub(crate) url: String,
    disk: Option<PathBuf>,
    pub(crate) folder: RunFolder,
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
pub(crate) const GATEWAYS_FROM: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Stage {
    /// Starts all that the launch needs and waits until every gateway is ready.
    pub(crate) fn set(bin: &Path, launch: &Launch) -> Result<Self, Failed> {
        let mut stage = Self {
            gateways: Vec::new(),
            links: Vec::new(),
            sentinels: Vec::new(),
            redises: Vec::new(),
            url: String::new(),
            disk: None,
            folder: RunFolder::new(bin)?,
        };
        stage.folder.write("clock", "+0s")?;
        let is_replicated = launch.level.replicas() > 0 || launch.fault.is_about_replicas();
        for n in 0..if is_replicated { 3 } else { 1 } {
            stage.start_redis(n, launch)?;
        }
        stage.url = format!("redis://{}", stage.redises[0].address());
        if is_replicated {
            stage.start_sentinels()?;
        }
        for _ in 0..GATEWAYS {
            stage.start_gateway(launch)?;
        }
        Ok(stage)
    }

    fn start_redis(&mut self, n: usize, launch: &Launch) -> Result<(), Failed> {
        let dir = self.folder.path(&format!("redis-{}", n + 1));
        fs::create_dir(&dir).map_err(Failed::to("make a directory"))?;
        if launch.fault.need() == Need::Mount && n == 0 {
            machine::mount(&dir, DISK)?;
            self.disk = Some(dir.clone());
        }
        let host_text = host(n).to_string();
        let mut options = vec!["--bind-source-addr", &host_text, "--protected-mode", "no"];
        options.extend(launch.level.file());
        let replicas = launch.level.replicas().to_string();
        if launch.level.replicas() > 0 {
            options.extend(["--min-replicas-to-write", &replicas, "--min-replicas-max-lag", "3"]);
        }
        let primary = self.redises.first().map(Redis::address);
        let primary = primary.map(|primary| (primary.ip().to_string(), primary.port().to_string()));
        if let Some((ip, port)) = &primary {
            options.extend(["--replicaof", ip, port]);
        }
        let envs = if launch.fault.need() == Need::Faketime {
            machine::faketime(&self.clock())?
        } else {
            Vec::new()
        };
        let setup = redis::RedisSetup {
            options: &options,
            address: Some(free_address(host(n))),
            dir: Some(&dir),
            envs: &envs,
            name: Some(&format!("redis {}", n + 1)),
            log: Some(&self.folder.path(&format!("redis-{}.log", n + 1))),
            ..redis::RedisSetup::default()
        };
        self.redises.push(setup.start()?);
        Ok(())
    }

    fn start_sentinels(&mut self) -> Result<(), Failed> {
        wait_for("both replicas are in step", || {
            let info = self.redises[0].ask("INFO replication")?;
            (info.matches("state=online").count() == 2).then_some(())
        })?;
        let setup = sentinel::SentinelSetup {
            primary: self.redises[0].address(),
            hosts: [0, 1, 2].map(host),
            down_after_ms: DOWN_AFTER_MS,
            certificate: None,
            dir: Some(&self.folder.path("")),
        };
        let sentinels = setup.start()?;
        self.url.clone_from(&sentinels.url);
        self.sentinels = sentinels.nodes;
        Ok(())
    }

    fn start_gateway(&mut self, launch: &Launch) -> Result<(), Failed> {
        let mut url = self.url.clone();
        if launch.fault == Fault::Delay {
            let link = Link::to(self.redises[0].address());
            link.url().clone_into(&mut url);
            self.links.push(link);
        }
        let n = self.gateways.len() + 1;
        // They are the same after a restart.
        let [address, ops] = [(); 2].map(|()| local_address().to_string());
        let mut options = vec!["--listen", &address, "--ops-listen", &ops];
        options.extend(["--durability", launch.level.option(), "--workers", "1", "--drain-delay-ms", "200"]);
        options.extend(["--limit-address", "off", "--connections-per-address-max", "off"]);
        options.extend(["--limit-unverified", "off", "--limit-buyer", "off", "--limit-keys-max", "10000"]);
        options.extend(["--log-level", "warn", "--audit-interval-s", "5"]);
        let setup = gateway::GatewaySetup {
            redis: &url,
            options: &options,
            binary: Some(&self.folder.binary("gateway")),
            name: Some(&format!("gateway {n}")),
            log: Some(&self.folder.path(&format!("gateway-{n}.log"))),
            is_as_shipped: true,
            ..gateway::GatewaySetup::default()
        };
        let gateway = setup.start()?;
        block_on(gateway.ready());
        self.gateways.push(gateway);
        Ok(())
    }

    /// Applies the sale; the instant of its opening.
    pub(crate) fn define(&self) -> Result<jiff::Timestamp, Failed> {
        let opens_at = jiff::Timestamp::now() + OPENS_IN;
        let item = |id: &str, price: u64| json!({"id": id, "name": id, "price": price});
        let limited = |(id, stock): (&str, u64), price: u64| {
            let mut item = item(id, price);
            item["stock"] = stock.into();
            item
        };
        let store = |(id, city, capacity): (&str, &str, u64)| json!({"id": id, "name": id, "city": city, "capacity": capacity});
        let definition = json!({
            "sale": {
                "id": SALE, "name": "Chaos", "opens_at": format!("{opens_at:.3}"), "closes_at": "2036-01-01T00:00:00Z",
                "hold": "10m", "grace": "60s", "per_buyer": 1, "currency": "CNY", "deposit": 99900, "rehearsal": true,
            },
            "model": STOCK.map(|model| limited(model, 4_999_900)),
            "package": [limited(PACKAGES[0], 29_900), item("maintenance", 59_900)],
            "stores": STORES.map(store),
        });
        let file = definition::write(&definition, &self.folder.path(""), "sale")?;
        definition::apply_file(&file, &self.url)?;
        Ok(opens_at)
    }

    /// Where Redis reads how far its clock is off.
    pub(crate) fn clock(&self) -> PathBuf {
        self.folder.path("clock")
    }

    /// The gateways' worst alarm, as text.
    pub(crate) fn alarm(&self) -> Option<String> {
        let path = format!("/admin/v1/live?sale={SALE}");
        self.gateways.iter().find_map(|gateway| {
            let now = block_on(gateway.first_of_stream(&path, "{\"kind\":\"now\""))?;
            Some(now["alarms"].get(0)?["text"].as_str()?.to_owned())
        })
    }

    /// The primary by the majority of the sentinels, or the only Redis.
    pub(crate) fn primary(&self) -> usize {
        let votes = self.votes();
        (0..votes.len()).rev().max_by_key(|n| votes[*n]).unwrap_or(0)
    }

    /// How many sentinels call each Redis the primary.
    fn votes(&self) -> Vec<usize> {
        let all = self.sentinels.iter().filter_map(|s| s.ask("GET-MASTER-ADDR-BY-NAME ledger"));
        let mut votes = vec![0; self.redises.len()];
        for answer in all {
            // Each has a host of its own.
            let is_it = |redis: &Redis| answer.contains(&format!("\n{}\r", redis.address().ip()));
            if let Some(n) = self.redises.iter().position(is_it) {
                votes[n] += 1;
            }
        }
        votes
    }

    /// Whether all sentinels name one primary, and all others follow it.
    pub(crate) fn is_agreed(&self) -> bool {
        let primary = self.primary();
        let agreed = self.votes()[primary] == self.sentinels.len();
        let others = self.redises.len() - 1;
        let online = self.redises[primary].ask("INFO replication").is_some_and(|info| {
            info.contains("role:master") && info.matches("state=online").count() == others
        });
        agreed && online
    }

    /// Copies the launch's files for later inspection.
    pub(crate) fn keep(mut self, to: &Path) -> Result<(), Failed> {
        self.gateways.clear();
        self.sentinels.clear();
        self.redises.clear();
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(self.folder.path("")).arg(to);
        output(copy).map(drop)
    }
}
