//! Starts a Redis Cluster for a test: three masters with a replica each.

use gateway::store::keys::{SLOTS, slot_of};
use redis::FromRedisValue;

use crate::eventually;
use crate::files::free_address;
use crate::redis::Redis;
use crate::tls::Certificate;

/// Masters of a new cluster; each has as many slots.
const MASTERS: u16 = 3;

/// Six nodes: three masters, and then a replica of each, in the same order. They end when this is dropped.
pub struct Cluster {
    pub nodes: Vec<Redis>,
    ports: Vec<u16>,
    /// For `--redis`: all of its nodes.
    pub url: String,
}

/// Where the nodes listen: nothing else of the tests does.
pub const HOST: &str = "127.0.0.4";

impl Cluster {
    /// All slots are served, and every replica is in step.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With further options of each node.
    pub async fn start_with(options: &[&str]) -> Self {
        Self::start_at(options, "--port", "redis+cluster").await
    }

    /// All of it in TLS.
    pub async fn start_in_tls(certificate: &Certificate) -> Self {
        let options = certificate.redis_options();
        let options: Vec<&str> = options.iter().map(String::as_str).chain(["--tls-cluster", "yes"]).collect();
        Self::start_at(&options, "--tls-port", "rediss+cluster").await
    }

    async fn start_at(options: &[&str], port_option: &str, scheme: &str) -> Self {
        let (mut nodes, mut ports) = (Vec::new(), Vec::new());
        for _ in 0..2 * MASTERS {
            let (port, bus) = (free_port(), free_port());
            nodes.push(node(port_option, port, bus, options));
            ports.push((port, bus));
        }
        for (n, redis) in nodes.iter().enumerate() {
            redis.run::<String>(&format!("CLUSTER SET-CONFIG-EPOCH {}", n + 1));
            if n == 0 {
                continue;
            }
            let (port, bus) = ports[0];
            redis.run::<String>(&format!("CLUSTER MEET {HOST} {port} {bus}"));
        }
        for (n, redis) in (0..MASTERS).zip(&nodes) {
            let (first, after) = (share(n), share(n + 1));
            redis.run::<String>(&format!("CLUSTER ADDSLOTSRANGE {first} {}", after - 1));
        }
        let hosts: Vec<String> = ports.iter().map(|(port, _)| format!("{HOST}:{port}")).collect();
        let url = format!("{scheme}://{}", hosts.join(","));
        let cluster = Self { nodes, ports: ports.iter().map(|(port, _)| *port).collect(), url };
        eventually("all nodes see each other", || async {
            cluster.all(|node| node.run::<String>("CLUSTER NODES").lines().count() == 6)
        })
        .await;
        for n in 0..usize::from(MASTERS) {
            let id: String = cluster.nodes[n].run("CLUSTER MYID");
            let replica = &cluster.nodes[n + usize::from(MASTERS)];
            eventually("it may become a replica", || async {
                let done: redis::RedisResult<String> =
                    redis::cmd("CLUSTER").arg("REPLICATE").arg(&id).query(&mut replica.connection());
                done.ok()
            })
            .await;
        }
        eventually("every replica is in step", || async {
            let in_step =
                |n: usize| cluster.nodes[n].run::<String>("INFO replication").contains("state=online");
            (0..usize::from(MASTERS)).all(in_step).then_some(())
        })
        .await;
        cluster.is_well().await;
        eventually("all nodes see each replica's master", || async {
            cluster.all(|node| node.run::<String>("CLUSTER NODES").matches("slave ").count() == 3)
        })
        .await;
        cluster
    }

    fn all(&self, is_so: impl Fn(&Redis) -> bool) -> Option<()> {
        self.nodes.iter().all(is_so).then_some(())
    }

    /// Waits until all nodes agree that all slots are served.
    pub async fn is_well(&self) {
        eventually("the cluster is well", || async {
            self.all(|node| node.run::<String>("CLUSTER INFO").contains("cluster_state:ok"))
        })
        .await;
    }

    /// `HOST:PORT` of a node.
    pub fn address(&self, n: usize) -> String {
        format!("{HOST}:{}", self.ports[n])
    }

    /// The sales `small`, and another at each of the other masters as they were in the beginning, by master.
    pub fn sales(&self) -> [String; 3] {
        let names = std::iter::once("small".to_owned()).chain((0..).map(|n| format!("sale-{n}")));
        let mut found: [Option<String>; 3] = [None, None, None];
        for name in names {
            found[self.first_master_of(&name)].get_or_insert(name);
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found.map(Option::unwrap)
    }

    /// The master that has this sale as long as no slot has moved.
    pub fn first_master_of(&self, sale: &str) -> usize {
        let slot = slot_of_sale(sale);
        usize::from((0..MASTERS).find(|n| (share(*n)..share(n + 1)).contains(&slot)).unwrap())
    }

    /// Makes a slot ready to move; nothing has moved yet.
    pub fn begin_move(&self, slot: u16, from: usize, to: usize) {
        let id = |n: usize| self.nodes[n].run::<String>("CLUSTER MYID");
        self.nodes[to].run::<String>(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", id(from)));
        self.nodes[from].run::<String>(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", id(to)));
    }

    /// Moves up to so many keys of a slot; how many that were.
    pub fn move_keys(&self, slot: u16, from: usize, to: usize, most: usize) -> usize {
        let keys: Vec<String> = self.nodes[from].run(&format!("CLUSTER GETKEYSINSLOT {slot} {most}"));
        for key in &keys {
            let (host, port) = (HOST, self.ports[to]);
            let done = self.nodes[from].run::<String>(&format!("MIGRATE {host} {port} {key} 0 60000"));
            assert_eq!(done, "OK");
        }
        keys.len()
    }

    /// Assigns the slot to this node; the others learn it by gossip.
    pub fn end_move(&self, slot: u16, from: usize, to: usize) {
        let id: String = self.nodes[to].run("CLUSTER MYID");
        for n in [to, from] {
            self.nodes[n].run::<String>(&format!("CLUSTER SETSLOT {slot} NODE {id}"));
        }
    }

    /// Whether a node reports the role `master`, or `slave`.
    pub fn is(&self, n: usize, role: &str) -> bool {
        self.ask::<String>(n, "INFO replication").contains(&format!("role:{role}"))
    }

    /// One command at a node.
    pub fn ask<T: FromRedisValue>(&self, n: usize, words: &str) -> T {
        self.nodes[n].run(words)
    }
}

/// The slot of a sale.
pub fn slot_of_sale(sale: &str) -> u16 {
    slot_of(&format!("{{{sale}}}"))
}

/// The first slot of the n-th master.
fn share(n: u16) -> u16 {
    u16::try_from(u32::from(SLOTS) * u32::from(n) / u32::from(MASTERS)).unwrap()
}

fn free_port() -> u16 {
    free_address(HOST.parse().unwrap()).port()
}

fn node(port_option: &str, port: u16, bus: u16, options: &[&str]) -> Redis {
    let (port, bus) = (port.to_string(), bus.to_string());
    let own = [port_option, &port, "--cluster-port", &bus, "--bind", HOST, "--cluster-enabled", "yes"];
    // A node bound there does not find out by itself that it is there.
    let named = ["--cluster-announce-ip", HOST];
    // Long enough that a busy machine is not taken for a master that is gone.
    let usual = ["--cluster-node-timeout", "3000", "--repl-diskless-sync-delay", "0"];
    Redis::start_with(&[&own[..], &named, &usual, options].concat())
}
