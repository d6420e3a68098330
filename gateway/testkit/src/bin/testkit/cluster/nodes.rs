//! The programs of a fleet: started, and asked for their state.

use std::net::{IpAddr, SocketAddr};

use testkit::gateway::{ANSWER, clean, client, send};
use testkit::program::ours;
use testkit::redis::{self, ask};
use testkit::sentinel::{NAME, settings};
use testkit::{Failed, block_on, wait_for};

use super::hosts::{Host, path, pid_file, wrapper};
use super::{Fleet, Kind};

pub(super) const REDIS: u16 = 6379;
pub(super) const SENTINEL: u16 = 26379;
/// Where a gateway listens for buyers, and for ops.
pub(super) const GATEWAY: u16 = 8080;
pub(super) const OPS: u16 = 9090;

impl Fleet {
    /// The hosts of sentinels.
    pub(super) fn sentinels(&self) -> &[Host] {
        match self.kind {
            Kind::Sentinels => &self.nodes,
            Kind::Cluster => &[],
        }
    }

    /// Starts a Redis on its files, as a replica of the primary at this address. A node of a cluster has its role in its files.
    pub(super) fn start_redis(&self, node: Host, primary: Option<IpAddr>) -> Result<(), Failed> {
        let (name, namespace, replicas) = (node.to_string(), node.namespace(), self.replicas.to_string());
        let primary = primary.map(|primary| primary.to_string());
        let mut options = vec!["--protected-mode", "no", "--appendonly", "yes"];
        options.extend(["--min-replicas-to-write", &replicas, "--min-replicas-max-lag", "5"]);
        match (self.kind, &primary) {
            (Kind::Sentinels, Some(primary)) => options.extend(["--replicaof", primary, "6379"]),
            (Kind::Sentinels, None) => {}
            (Kind::Cluster, _) => {
                options.extend(["--cluster-enabled", "yes", "--cluster-node-timeout", "3000"])
            }
        }
        let setup = redis::RedisSetup {
            options: &options,
            address: Some(node.at(REDIS)),
            dir: Some(&path(&name)),
            under: &wrapper(&namespace),
            name: Some(&name),
            log: Some(&path(&format!("{name}.log"))),
            pid_file: Some(&pid_file(&name)),
            ..redis::RedisSetup::default()
        };
        setup.start().map(drop)
    }

    /// Writes what a sentinel starts with. It adds what it learns.
    pub(super) fn configure_sentinel(&self, node: Host) -> Result<(), Failed> {
        let settings = settings(node.at(SENTINEL), self.nodes[0].at(REDIS), 3000, 10_000);
        let file = path(&format!("{}.conf", sentinel_name(node)));
        std::fs::write(file, settings).map_err(Failed::to("write a sentinel's configuration"))
    }

    pub(super) fn start_sentinel(&self, node: Host) -> Result<(), Failed> {
        let name = sentinel_name(node);
        let mut command = node.command("redis-server");
        command.arg(path(&format!("{name}.conf"))).arg("--sentinel");
        node.program(&name, command)?
            .start_until(|| ask(node.at(SENTINEL), "PING")?.starts_with("+PONG").then_some(()))
    }

    /// Starts a gateway and waits until it is ready.
    pub(super) fn start_gateway(&self, host: Host) -> Result<(), Failed> {
        let mut command = clean(host.command(ours("gateway")));
        command.args(["serve", "--redis", &self.url, "--durability", &format!("replicas={}", self.replicas)]);
        command.args(["--listen", &host.at(GATEWAY).to_string()]);
        command.args(["--ops-listen", &host.at(OPS).to_string(), "--ops-plain-text"]);
        command.arg("--auth-secret-file").arg(path("secret")).arg("--ops-token-file").arg(path("ops"));
        command.args(["--workers", "1", "--drain-delay-ms", "500", "--log-level", "warn"]);
        // All load comes from one address.
        command.args(["--limit-address", "off", "--limit-unverified", "off"]);
        command.args(["--connections-per-address-max", "off", "--limit-keys-max", "10000"]);
        host.program(&host.to_string(), command)?.start_until(|| is_ready(host).then_some(()))
    }

    /// Whether every primary has its replicas, and all sentinels or all nodes of the cluster agree that it is so.
    pub(super) fn is_in_step(&self) -> bool {
        match self.kind {
            Kind::Sentinels => self.primary().is_some_and(|primary| {
                let agrees = |node: &Host| {
                    primary_by(*node) == Some(primary)
                        && ask(node.at(SENTINEL), &format!("SENTINEL CKQUORUM {NAME}"))
                            .is_some_and(|answer| answer.starts_with("+OK 3"))
                        && (node.ip() != primary || self.has_replicas(*node))
                };
                self.nodes.iter().all(agrees)
            }),
            Kind::Cluster => self.nodes.iter().all(|node| {
                let answer = |words| ask(node.at(REDIS), words).unwrap_or_default();
                let is_well = |line: &&str| line.contains(" connected") && !line.contains("fail");
                let info = answer("CLUSTER INFO");
                info.contains("cluster_state:ok\r")
                    && info.contains("cluster_slots_ok:16384\r")
                    && answer("CLUSTER NODES").lines().filter(is_well).count() == self.nodes.len()
                    && (!is_primary(*node) || self.has_replicas(*node))
            }),
        }
    }

    /// The primary's address by the first sentinel.
    pub(super) fn primary(&self) -> Option<IpAddr> {
        primary_by(*self.sentinels().first()?)
    }

    fn has_replicas(&self, node: Host) -> bool {
        replication(node).matches("state=online").count() == self.replicas
    }

    /// Makes a replica the primary instead of this node.
    pub(super) fn fail_over(&self, node: Host) -> Result<(), Failed> {
        let accepted = |address, words: &str| {
            wait_for(&format!("{words} at {address}"), || {
                ask(address, words)?.starts_with("+OK").then_some(())
            })
        };
        match self.kind {
            Kind::Sentinels => {
                accepted(self.nodes[0].at(SENTINEL), &format!("SENTINEL FAILOVER {NAME}"))?;
            }
            Kind::Cluster => accepted(self.replica_of(node)?.at(REDIS), "CLUSTER FAILOVER")?,
        }
        wait_for(&format!("a primary other than {node}"), || {
            replication(node).contains("role:slave").then_some(())
        })
    }

    /// The node of a cluster that follows this one.
    fn replica_of(&self, primary: Host) -> Result<Host, Failed> {
        let id = ask(primary.at(REDIS), "CLUSTER MYID");
        // After the length of the reply.
        let id = id.as_ref().and_then(|id| id.lines().nth(1));
        let id = id.ok_or_else(|| Failed::Outside(format!("{primary} does not answer CLUSTER MYID")))?;
        let follows = |node: &&Host| {
            let nodes = ask(node.at(REDIS), "CLUSTER NODES").unwrap_or_default();
            // A node's own line has the id of its primary.
            nodes.lines().any(|line| line.contains("myself") && line.contains(&format!(" {id} ")))
        };
        let replica = self.nodes.iter().find(follows).copied();
        replica.ok_or_else(|| Failed::Outside(format!("{primary} has no replica")))
    }
}

/// The name of the sentinel on this host.
pub(super) fn sentinel_name(node: Host) -> String {
    format!("sentinel-{node}")
}

pub(super) fn is_primary(node: Host) -> bool {
    replication(node).contains("role:master")
}

pub(super) fn is_ready(gateway: Host) -> bool {
    has(gateway.at(OPS), "/readyz")
}

/// Whether a gateway is ready with this sale: one that has just been defined is read first.
pub(super) fn serves(gateway: Host, sale: &str) -> bool {
    has(gateway.at(GATEWAY), &format!("/v1/sales/{sale}")) && is_ready(gateway)
}

fn has(address: SocketAddr, path: &str) -> bool {
    let request = client().get(format!("http://{address}{path}")).timeout(ANSWER);
    block_on(send(request)).status == 200
}

/// Empty if the node does not answer.
fn replication(node: Host) -> String {
    ask(node.at(REDIS), "INFO replication").unwrap_or_default()
}

/// The primary's address by this sentinel.
fn primary_by(node: Host) -> Option<IpAddr> {
    let answer = ask(node.at(SENTINEL), &format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}"))?;
    // After the count of the values, and the length of the first.
    answer.lines().nth(2)?.parse().ok()
}
