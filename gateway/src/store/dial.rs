//! Opens connections to Redis: settings, time-outs, the run_id of the server.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
};

use crate::store::Pool;
pub use crate::store::access::{Access, SentinelUser};
use crate::store::cluster::{self, Cluster, Master};
use crate::store::compatibility;
use crate::store::durability::Durability;
use crate::store::keys::{SALES, slot_of};
use crate::store::scripts::ReplicaAcks;
use crate::store::sentinel::Sentinels;

/// How often the Redis at an address is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// A multiplexed connection to the ledger.
pub type LedgerConnection = cluster::ClusterAwareConnection<MultiplexedConnection>;

/// Opens connections; generic, so that tests can replace it.
pub trait Dial: Clone + 'static {
    /// The type of its connections.
    type Conn: ConnectionLike + Clone + 'static;
    /// Opens a connection. It must have its own time limit.
    fn dial(&self) -> impl Future<Output = RedisResult<Self::Conn>>;
    /// Increases whenever the ledger moves: an older connection goes to its former location.
    fn moves(&self) -> u64 {
        0
    }

    /// Whether the keys are spread over the masters of a cluster.
    fn has_masters(&self) -> bool {
        false
    }

    /// The address of the master of a cluster that has this slot's keys; `None` if it is not known,
    /// or one Redis has all keys.
    fn holder(&self, _slot: u16) -> Option<Arc<str>> {
        None
    }

    /// The masters of a cluster by address, as soon as they differ from these; pending forever with
    /// a single Redis.
    fn masters(&self, _known: &HashSet<Arc<str>>) -> impl Future<Output = HashMap<Arc<str>, Self>> {
        std::future::pending()
    }
}

/// The Redis deployment of the ledger.
#[derive(Clone)]
pub struct Redis {
    endpoint: Endpoint,
    connect_timeout: Duration,
    answer_timeout: Duration,
    durability: Durability,
    /// How often the primary has changed; shared by all clones.
    moves: Arc<AtomicU64>,
    /// The run_id of the last connected primary; shared by all clones. Unused in a cluster.
    primary_seen: Arc<Mutex<Option<String>>>,
}

/// The location of the ledger.
#[derive(Clone)]
enum Endpoint {
    Single(Box<Client>),
    /// At the address that sentinels report.
    Sentinels(Arc<Sentinels>),
    /// Spread over the masters of a cluster.
    Cluster(Arc<Cluster>),
    /// At one master of a cluster.
    ClusterMaster(Arc<Cluster>, Arc<Master>),
}

impl Redis {
    /// Parses `redis://`, `rediss://`, `unix:`, or one of the former with `+sentinel` or `+cluster`
    /// before the colon. It does not connect.
    pub fn new(url: &str, connect_timeout: Duration, answer_timeout: Duration) -> RedisResult<Self> {
        Self::with_access(url, &Access::default(), connect_timeout, answer_timeout)
    }

    /// Like [`Self::new`], with credentials.
    pub fn with_access(
        url: &str,
        access: &Access,
        connect_timeout: Duration,
        answer_timeout: Duration,
    ) -> RedisResult<Self> {
        let trusted = access.certificates();
        let endpoint = if let Some(mut sentinels) = Sentinels::parse(url)? {
            trusted.map_or(Ok(()), |trusted| sentinels.trust(trusted))?;
            sentinels.user = access.sentinel.clone();
            Endpoint::Sentinels(Arc::new(sentinels))
        } else if let Some(mut cluster) = Cluster::parse(url, connect_timeout)? {
            trusted.map_or(Ok(()), |trusted| cluster.trust(&trusted))?;
            Endpoint::Cluster(Arc::new(cluster))
        } else {
            // The redis crate leaves Nagle's algorithm on; a batch must not wait for the previous
            // one's TCP acknowledgement.
            let info = url.into_connection_info()?;
            let settings = info.tcp_settings().clone().set_nodelay(true);
            let info = info.set_tcp_settings(settings);
            Endpoint::Single(Box::new(match trusted {
                Some(trusted) => Client::build_with_tls(info, trusted)?,
                None => Client::open(info)?,
            }))
        };
        let (durability, moves, primary_seen) = (Durability::default(), Arc::default(), Arc::default());
        Ok(Self { endpoint, connect_timeout, answer_timeout, durability, moves, primary_seen })
    }

    /// Sets the required durability.
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// The durability that a change needs before it is acknowledged.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The replicas that scripts wait for, and how long: a quarter of the reply's time limit, since
    /// several calls may wait on one connection in turn.
    pub fn replica_acks(&self) -> Option<ReplicaAcks> {
        match self.durability {
            Durability::Replicas(replicas) => Some(ReplicaAcks { replicas, wait: self.answer_timeout / 4 }),
            _ => None,
        }
    }

    /// Whether its address is fixed.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self.endpoint, Endpoint::Single(_))
    }

    /// The cluster, if it is one.
    pub(crate) fn cluster(&self) -> Option<&Arc<Cluster>> {
        match &self.endpoint {
            Endpoint::Cluster(cluster) => Some(cluster),
            _ => None,
        }
    }

    /// Whether sales may be at different masters.
    pub fn is_cluster(&self) -> bool {
        self.cluster().is_some()
    }

    /// Keeps its location up to date for the lifetime of the process: the map of a cluster; for one
    /// address, the Redis behind it.
    pub async fn keep_map(self) {
        match &self.endpoint {
            Endpoint::Cluster(cluster) => cluster.refresh_forever().await,
            Endpoint::Single(client)
                if !matches!(client.get_connection_info().addr(), ConnectionAddr::Unix(_)) =>
            {
                loop {
                    tokio::time::sleep(CHECK_INTERVAL.mul_f32(0.8 + 0.4 * fastrand::f32())).await;
                    // This records the Redis behind the address. Callers that need a primary report
                    // another role.
                    let _ = self.dial_primary(SALES, self.answer_timeout).await;
                }
            }
            _ => {}
        }
    }

    /// Each Redis of the ledger: the masters of a cluster, or this one.
    pub async fn each(&self) -> RedisResult<Vec<Self>> {
        let Some(cluster) = self.cluster() else { return Ok(vec![self.clone()]) };
        let masters = cluster.masters().await?;
        Ok(masters.into_iter().map(|master| self.of(cluster, master)).collect())
    }

    /// Whether these keys are here, and not at another master.
    pub fn has_slot(&self, slot: u16) -> bool {
        match &self.endpoint {
            Endpoint::ClusterMaster(cluster, here) => {
                cluster.holder(slot).is_some_and(|master| master.address == here.address)
            }
            _ => true,
        }
    }

    fn of(&self, cluster: &Arc<Cluster>, master: Arc<Master>) -> Self {
        Self { endpoint: Endpoint::ClusterMaster(cluster.clone(), master), ..self.clone() }
    }

    /// Whether its address is of this host.
    pub fn is_local(&self) -> bool {
        let client = match &self.endpoint {
            Endpoint::Single(client) => client,
            Endpoint::ClusterMaster(_, master) => &master.client,
            Endpoint::Sentinels(_) | Endpoint::Cluster(_) => return false,
        };
        match client.get_connection_info().addr() {
            ConnectionAddr::Unix(_) => true,
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            _ => false,
        }
    }

    /// The address without user and password.
    pub fn address(&self) -> String {
        match &self.endpoint {
            Endpoint::Single(client) => client.get_connection_info().addr().to_string(),
            Endpoint::Sentinels(sentinels) => sentinels.shown.clone(),
            Endpoint::Cluster(cluster) => cluster.shown.clone(),
            Endpoint::ClusterMaster(_, master) => master.address.to_string(),
        }
    }

    /// The time limit to connect.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The time limit of a reply.
    pub fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Whether every acknowledged change survives in the ledger, whatever happens to the gateway.
    pub fn acknowledged_survives(&self) -> bool {
        self.durability.survives(self.is_fixed())
    }

    /// Records a new primary. The former one may keep answering until sentinels demote it (10 s),
    /// and loses what it accepts meanwhile.
    pub(crate) fn record_move(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// A client of the Redis that now accepts writes to this key.
    pub(crate) async fn primary(&self, key: &str) -> RedisResult<Client> {
        match &self.endpoint {
            Endpoint::Single(client) => Ok(Client::clone(client)),
            Endpoint::Sentinels(sentinels) => sentinels.primary(self.connect_timeout).await,
            Endpoint::Cluster(cluster) => Ok(cluster.find(slot_of(key)).await?.client.clone()),
            Endpoint::ClusterMaster(_, master) => Ok(master.client.clone()),
        }
    }

    /// Connects for this key and those of its slot, with the reply time limit `timeout` instead of
    /// the default.
    pub async fn dial_for(&self, key: &str, timeout: Duration) -> RedisResult<LedgerConnection> {
        let config = time_limits(self.connect_timeout, timeout);
        let cluster = match &self.endpoint {
            Endpoint::Cluster(cluster) | Endpoint::ClusterMaster(cluster, _) => Some(cluster.clone()),
            Endpoint::Single(_) | Endpoint::Sentinels(_) => None,
        };
        let client = self.primary(key).await?;
        let conn = client.get_multiplexed_async_connection_with_config(&config).await;
        let conn = conn.map_err(|error| {
            let at = client.get_connection_info().addr();
            // An error reply of Redis names no address, and needs none.
            if error.is_io_error() {
                RedisError::from((ErrorKind::Io, "can't connect", format!("{at}: {error}")))
            } else {
                error
            }
        });
        if let (Err(_), Some(cluster)) = (&conn, &cluster) {
            cluster.request_refresh();
        }
        Ok(LedgerConnection { conn: conn?, cluster, left: None })
    }

    /// Connects like [`Self::dial_for`], and fails unless it is a primary that serves its data.
    /// Connections of this process to another one are left from now on.
    pub async fn dial_primary(&self, key: &str, timeout: Duration) -> RedisResult<LedgerConnection> {
        let mut conn = self.dial_for(key, timeout).await?;
        let found = info(&mut conn, "default").await?;
        if let Some(why) = compatibility::why_not_primary(&found) {
            conn.cluster.iter().for_each(|cluster| cluster.request_refresh());
            let (what, at) = ("not a primary that takes reservations", format!("{}: {why}", self.address()));
            return Err(RedisError::from((ErrorKind::Extension, what, at)));
        }
        if matches!(self.endpoint, Endpoint::Single(_) | Endpoint::Sentinels(_)) {
            self.note_primary(found.get("run_id"));
        }
        Ok(conn)
    }

    /// Records the primary's run_id. After a change, replies of the former one must not be
    /// acknowledged.
    fn note_primary(&self, run_id: Option<&String>) {
        let Some(now) = run_id else { return };
        let mut seen = self.primary_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(was) = seen.replace(now.clone()).filter(|was| was != now) {
            tracing::warn!(address = self.address(), was, now, "another Redis is the primary now");
            self.record_move();
        }
    }

    /// A connection pool for everything off the hot path.
    pub fn pool(&self, size: usize) -> Pool {
        Pool::of(self.clone(), size)
    }
}

impl Dial for Redis {
    type Conn = LedgerConnection;

    async fn dial(&self) -> RedisResult<LedgerConnection> {
        self.dial_primary(SALES, self.answer_timeout).await
    }

    fn has_masters(&self) -> bool {
        self.is_cluster()
    }

    fn holder(&self, slot: u16) -> Option<Arc<str>> {
        Some(self.cluster()?.holder(slot)?.address.clone())
    }

    async fn masters(&self, known: &HashSet<Arc<str>>) -> HashMap<Arc<str>, Self> {
        let Some(cluster) = self.cluster() else { return std::future::pending().await };
        let masters = cluster.other_masters(known).await;
        masters.into_iter().map(|master| (master.address.clone(), self.of(cluster, master))).collect()
    }

    fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }
}

/// An error about an address of Redis.
pub(crate) fn wrong(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, why))
}

/// The settings of a connection with these time limits, to connect and of a reply.
pub(crate) fn time_limits(connect: Duration, answer: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(connect)).set_response_timeout(Some(answer))
}

/// Splits a URL's authority into `USER:PASSWORD@` (or nothing) and the hosts.
pub(crate) fn user_and_hosts(authority: &str) -> (&str, &str) {
    authority.split_at(authority.rfind('@').map_or(0, |at| at + 1))
}

/// The fields of `INFO`, for a section.
pub async fn info(conn: &mut impl ConnectionLike, section: &str) -> RedisResult<HashMap<String, String>> {
    let text: String = redis::cmd("INFO").arg(section).query_async(conn).await?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

/// The run_id of the connected process: it changes with a restart or a promotion.
pub async fn read_run_id(conn: &mut impl ConnectionLike) -> RedisResult<String> {
    info(conn, "server")
        .await?
        .remove("run_id")
        .ok_or_else(|| RedisError::from((ErrorKind::UnexpectedReturnType, "INFO server names no run_id")))
}
