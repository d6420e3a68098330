//! A fleet over several hosts, which are network namespaces: gateways, and Redis with sentinels or a Redis Cluster.

mod hosts;
mod nodes;
mod rolling;

use std::path::Path;
use std::process::Command;

use clap::{Args, ValueEnum};
use testkit::cli::{Ended, try_end};
use testkit::files::write_secret;
use testkit::gateway::random_text;
use testkit::options::Named;
use testkit::sentinel;
use testkit::{Failed, print_line, wait_for};

use self::hosts::{FOLDER, Host, path};
use crate::launch::Sale;

/// The stock of everything that the sale has: more than a rolling restart sells.
const STOCK: i64 = 100_000;

#[derive(Debug, Args)]
pub(crate) struct ClusterOptions {
    /// What to do
    mode: Mode,
    /// Redis Cluster instead of sentinels, for a fleet that is not up yet
    #[arg(long)]
    redis_cluster: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// Starts a fleet, which goes on afterwards
    Up,
    /// Shows what runs; exit code 1 if something is amiss
    Status,
    /// Restarts every program of the fleet under load
    Rolling,
    /// Ends the fleet
    Down,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Sentinels,
    Cluster,
}

/// The programs of a fleet. They find each other by fixed addresses, and outlive this.
struct Fleet {
    kind: Kind,
    /// Every one has a sentinel, if there are sentinels.
    nodes: Vec<Host>,
    gateways: Vec<Host>,
    /// How many a primary has.
    replicas: usize,
    /// For `--redis`.
    url: String,
}

pub(crate) fn run(options: &ClusterOptions) -> Result<u8, Failed> {
    let kind = if options.redis_cluster { Kind::Cluster } else { Kind::Sentinels };
    match options.mode {
        Mode::Up => Fleet::up(kind).map(|_| 0),
        Mode::Status => Ok(u8::from(!Fleet::running()?.status())),
        Mode::Rolling => rolling::run(kind).map(|()| 0),
        Mode::Down => down().map(|()| 0),
    }
}

impl Fleet {
    fn of(kind: Kind) -> Self {
        let (count, replicas) = match kind {
            Kind::Sentinels => (3, 2),
            Kind::Cluster => (6, 1),
        };
        let nodes: Vec<Host> = (1..=count).map(Host::Redis).collect();
        let first =
            |port| nodes[..3].iter().map(|node| node.at(port).to_string()).collect::<Vec<_>>().join(",");
        let url = match kind {
            Kind::Sentinels => format!("redis+sentinel://{}/{}", first(nodes::SENTINEL), sentinel::NAME),
            Kind::Cluster => format!("redis+cluster://{}", first(nodes::REDIS)),
        };
        let gateways = (1..=3).map(Host::Gateway).collect();
        Self { kind, nodes, gateways, replicas, url }
    }

    /// The one that is up, or what is left of it. From now on this program is on the host of the load.
    fn running() -> Result<Self, Failed> {
        let kind =
            std::fs::read_to_string(path("kind")).map_err(Failed::to("read what kind of fleet is up"))?;
        let kind = Kind::from_str(kind.trim(), false).unwrap_or(Kind::Sentinels);
        hosts::enter(Host::Load)
            .map_err(|failed| Failed::Wrong(format!("{failed}: scripts/cluster down, then up again")))?;
        Ok(Self::of(kind))
    }

    fn up(kind: Kind) -> Result<Self, Failed> {
        let fleet = Self::of(kind);
        std::fs::create_dir(FOLDER).map_err(Failed::to(&format!("make {FOLDER}")))?;
        std::fs::write(path("kind"), kind.name()).map_err(Failed::to("note the kind of the fleet"))?;
        note_binaries()?;
        let hosts = [&fleet.gateways[..], &fleet.nodes, &[Host::Load]].concat();
        hosts::make_network(&hosts)?;
        hosts::enter(Host::Load)?;
        write_secret(&path("secret"), &random_text())?;
        write_secret(&path("ops"), &format!("cluster {}\n", random_text()))?;
        for node in &fleet.nodes {
            std::fs::create_dir(path(&node.to_string())).map_err(Failed::to("make a directory"))?;
            // The first has no other to follow.
            let primary = fleet.nodes[0].ip();
            fleet.start_redis(*node, (node.ip() != primary).then_some(primary))?;
        }
        for node in fleet.sentinels() {
            fleet.configure_sentinel(*node)?;
            fleet.start_sentinel(*node)?;
        }
        if kind == Kind::Cluster {
            fleet.join()?;
        }
        fleet.wait_in_step()?;
        for gateway in &fleet.gateways {
            fleet.start_gateway(*gateway)?;
        }
        fleet.define()?;
        for gateway in &fleet.gateways {
            wait_for(&format!("{gateway} serves the sale"), || {
                nodes::serves(*gateway, "cluster").then_some(())
            })?;
        }
        print_line(&format!(
            "three gateways (10.77.0.11:8080 and up), {} Redis (10.77.0.21:6379 and up), {}; from lg-load:\n\
             \x20   ip netns exec lg-load curl http://10.77.0.11:8080/v1/sales/cluster",
            fleet.nodes.len(),
            kind.name(),
        ));
        Ok(fleet)
    }

    /// Makes a Redis Cluster of the nodes.
    fn join(&self) -> Result<(), Failed> {
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "create"]);
        command.args(self.nodes.iter().map(|node| node.at(nodes::REDIS).to_string()));
        command.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let Ended { code, out, err } = try_end(command)?;
        if code == 0 {
            return Ok(());
        }
        let output = out + &err;
        let last = output.lines().last().unwrap_or_default();
        Err(Failed::Outside(format!("the cluster can't be made: {last}")))
    }

    /// Defines the sale `cluster`: the example `small`, with more of everything and a longer hold.
    fn define(&self) -> Result<(), Failed> {
        let example = Path::new("gateway/examples/small");
        let mut sale = Sale::read(&example.join("sale.toml"))?;
        sale.set("id", "cluster".into()).set("hold", "10m".into());
        for list in ["model", "package"] {
            for item in sale.0[list].as_array_mut().into_iter().flatten() {
                if let Some(stock) = item.get_mut("stock") {
                    *stock = STOCK.into();
                }
            }
        }
        let stores =
            std::fs::read_to_string(example.join("stores.csv")).map_err(Failed::to("read the stores"))?;
        let with_stock = |line: &str| {
            let (store, capacity) = line.rsplit_once(',').unwrap_or((line, ""));
            // The headings stay.
            if capacity == "capacity" { format!("{line}\n") } else { format!("{store},{STOCK}\n") }
        };
        let stores: String = stores.lines().map(with_stock).collect();
        sale.apply(Path::new(FOLDER), &stores, &self.url)?;
        Ok(())
    }

    /// Prints the state of every program; whether all is well.
    fn status(&self) -> bool {
        let mut is_well = true;
        let mut line = |host: String, word: &str, is_good: bool| {
            print_line(&format!("{host} {word}"));
            is_well &= is_good;
        };
        for node in &self.nodes {
            let (word, is_good) = match hosts::is_running(&node.to_string()) {
                false => ("GONE", false),
                true if nodes::is_primary(*node) => ("primary", true),
                true => ("replica", true),
            };
            line(format!("{node}    {} ", node.at(nodes::REDIS)), word, is_good);
        }
        for node in self.sentinels() {
            let is_good = hosts::is_running(&nodes::sentinel_name(*node));
            let word = if is_good { "runs" } else { "GONE" };
            line(format!("sentinel  {}", node.at(nodes::SENTINEL)), word, is_good);
        }
        if !self.is_in_step() {
            line("the Redis nodes".into(), "are not in step", false);
        }
        for gateway in &self.gateways {
            let is_good = nodes::is_ready(*gateway);
            let word = if is_good { "ready" } else { "NOT READY" };
            line(format!("{gateway}       {} ", gateway.at(nodes::GATEWAY)), word, is_good);
        }
        is_well
    }

    fn wait_in_step(&self) -> Result<(), Failed> {
        wait_for("all Redis nodes are in step", || self.is_in_step().then_some(()))
    }
}

/// Notes where the programs are: `status` and `down` need no build.
fn note_binaries() -> Result<(), Failed> {
    let own = std::env::current_exe().map_err(Failed::to("find this program"))?;
    let folder = own.parent().unwrap().to_string_lossy();
    std::fs::write(path("bin"), &*folder).map_err(Failed::to("note where the programs are"))
}

fn down() -> Result<(), Failed> {
    hosts::halt_all()?;
    // Of whichever kind it is.
    let all = [Fleet::of(Kind::Cluster).nodes, Fleet::of(Kind::Cluster).gateways, vec![Host::Load]].concat();
    hosts::remove_network(&all);
    match std::fs::remove_dir_all(FOLDER) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failed::to(&format!("remove {FOLDER}"))(error))
        }
        _ => Ok(()),
    }
}
