//! How connections to Redis are opened: settings, time-outs, the run_id of what is at the other end.

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

/// Between two looks at which Redis an address leads to.
const LOOK: Duration = Duration::from_secs(5);

/// A connection of our own.
pub type LedgerConnection = cluster::ClusterAwareConnection<MultiplexedConnection>;

/// Opens connections; a connection is generic over it.
pub trait Dial: Clone + 'static {
    /// What it opens.
    type Conn: ConnectionLike + Clone + 'static;
    /// Opens one. It must give up by itself.
    fn dial(&self) -> impl Future<Output = RedisResult<Self::Conn>>;
    /// Grows whenever the ledger is seen somewhere else: a connection from before goes to where it was.
    fn moves(&self) -> u64 {
        0
    }

    /// Who has the keys of this slot by now.
    fn holder(&self, _slot: u16) -> Holder {
        Holder::Only
    }

    /// The masters of a cluster, by address, as soon as they are others than these. Never, where there is only one Redis.
    fn masters(&self, _known: &HashSet<Arc<str>>) -> impl Future<Output = HashMap<Arc<str>, Self>> {
        std::future::pending()
    }
}

/// Who has the keys of a slot.
pub enum Holder {
    /// There is one Redis for all of them.
    Only,
    /// The master of a cluster at this address.
    Master(Arc<str>),
    /// A master of a cluster that has not told us yet.
    Unknown,
}

/// The Redis that the ledger is in.
#[derive(Clone)]
pub struct Redis {
    endpoint: Endpoint,
    connect_timeout: Duration,
    answer_timeout: Duration,
    durability: Durability,
    /// How often another primary was named than before; of all copies of this value together.
    moves: Arc<AtomicU64>,
    /// The run_id of the primary that was connected to last; of all copies together. Not of a cluster, which has many.
    primary_seen: Arc<Mutex<Option<String>>>,
}

/// Where it is.
#[derive(Clone)]
enum Endpoint {
    At(Box<Client>),
    /// At whichever address sentinels say.
    Behind(Arc<Sentinels>),
    /// Spread over the masters of a cluster.
    Over(Arc<Cluster>),
    /// What one master of a cluster has.
    Of(Arc<Cluster>, Arc<Master>),
}

impl Redis {
    /// `url` is `redis://`, `rediss://`, `unix:`, or one of the former with `+sentinel` or `+cluster` before the colon. Nothing
    /// is connected yet.
    pub fn new(url: &str, connect_timeout: Duration, answer_timeout: Duration) -> RedisResult<Self> {
        Self::with_access(url, &Access::default(), connect_timeout, answer_timeout)
    }

    /// The same, with what it takes to be let in.
    pub fn with_access(
        url: &str,
        access: &Access,
        connect_timeout: Duration,
        answer_timeout: Duration,
    ) -> RedisResult<Self> {
        let trusted = access.certificates();
        let endpoint = match (Sentinels::parse(url), Cluster::parse(url, connect_timeout)) {
            (Some(sentinels), _) => {
                let mut sentinels = sentinels?;
                trusted.map_or(Ok(()), |trusted| sentinels.trust(trusted))?;
                sentinels.user = access.sentinel.clone();
                Endpoint::Behind(Arc::new(sentinels))
            }
            (_, Some(cluster)) => {
                let mut cluster = cluster?;
                trusted.map_or(Ok(()), |trusted| cluster.trust(&trusted))?;
                Endpoint::Over(Arc::new(cluster))
            }
            (None, None) => {
                // Off by default in the redis crate; a batch must not wait for the one before to be acknowledged.
                let info = url.into_connection_info()?;
                let settings = info.tcp_settings().clone().set_nodelay(true);
                let info = info.set_tcp_settings(settings);
                Endpoint::At(Box::new(match trusted {
                    Some(trusted) => Client::build_with_tls(info, trusted)?,
                    None => Client::open(info)?,
                }))
            }
        };
        let (durability, moves) = (Durability::default(), Arc::default());
        let primary_seen = Arc::default();
        Ok(Self { endpoint, connect_timeout, answer_timeout, durability, moves, primary_seen })
    }

    /// What is known of it is told only once it is so safe.
    #[must_use]
    pub fn with_durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// How safe a change must be before anybody is told of it.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The replicas that scripts have to wait for. For a quarter of the time for an answer, since several calls may wait
    /// on one connection, one after the other.
    #[must_use]
    pub fn replica_acks(&self) -> Option<ReplicaAcks> {
        match self.durability {
            Durability::Replicas(replicas) => Some(ReplicaAcks { replicas, wait: self.answer_timeout / 4 }),
            _ => None,
        }
    }

    /// Whether it is always at the same address.
    pub(crate) fn is_fixed(&self) -> bool {
        matches!(self.endpoint, Endpoint::At(_))
    }

    /// The cluster that it is spread over.
    pub(crate) fn cluster(&self) -> Option<&Arc<Cluster>> {
        match &self.endpoint {
            Endpoint::Over(cluster) => Some(cluster),
            _ => None,
        }
    }

    /// Whether sales may be at different places.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        self.cluster().is_some()
    }

    /// Keeps what is known of where it is true for as long as the process lives: the map of a cluster; at one address, which may be
    /// a name, which Redis it leads to by now.
    pub async fn keep_map(self) {
        match &self.endpoint {
            Endpoint::Over(cluster) => cluster.keep().await,
            Endpoint::At(client)
                if !matches!(client.get_connection_info().addr(), ConnectionAddr::Unix(_)) =>
            {
                loop {
                    tokio::time::sleep(LOOK.mul_f32(0.8 + 0.4 * fastrand::f32())).await;
                    // What it leads to is noted. A server that is not a primary is for those to report that need one.
                    let _ = self.dial_primary(SALES, self.answer_timeout).await;
                }
            }
            _ => {}
        }
    }

    /// Each Redis that it is in: the masters of a cluster, or this one.
    pub async fn each(&self) -> RedisResult<Vec<Self>> {
        let Some(cluster) = self.cluster() else { return Ok(vec![self.clone()]) };
        let masters = cluster.masters().await?;
        Ok(masters.into_iter().map(|master| self.of(cluster, master)).collect())
    }

    /// Whether these keys are here, and not at another master.
    #[must_use]
    pub fn has_slot(&self, slot: u16) -> bool {
        match &self.endpoint {
            Endpoint::Of(cluster, here) => {
                cluster.holder(slot).is_some_and(|master| master.address == here.address)
            }
            _ => true,
        }
    }

    fn of(&self, cluster: &Arc<Cluster>, master: Arc<Master>) -> Self {
        Self { endpoint: Endpoint::Of(cluster.clone(), master), ..self.clone() }
    }

    /// Whether it is reached by an address of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let client = match &self.endpoint {
            Endpoint::At(client) => client,
            Endpoint::Of(_, master) => &master.client,
            Endpoint::Behind(_) | Endpoint::Over(_) => return false,
        };
        match client.get_connection_info().addr() {
            ConnectionAddr::Unix(_) => true,
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            _ => false,
        }
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.endpoint {
            Endpoint::At(client) => client.get_connection_info().addr().to_string(),
            Endpoint::Behind(sentinels) => sentinels.shown().to_owned(),
            Endpoint::Over(cluster) => cluster.shown().to_owned(),
            Endpoint::Of(_, master) => master.address.to_string(),
        }
    }

    /// Until it must have taken a connection.
    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Until it must have answered.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Whether what a gateway has told is in the ledger, whatever became of the gateway.
    #[must_use]
    pub fn acknowledged_survives(&self) -> bool {
        self.durability.survives(self.is_fixed())
    }

    /// Another is the primary now. The former one may go on answering for as long as sentinels leave it alone (10 s), and
    /// what it is told meanwhile is lost.
    pub(crate) fn has_moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// A client of the one that takes writes to this key at the moment.
    pub(crate) async fn primary(&self, key: &str) -> RedisResult<Client> {
        match &self.endpoint {
            Endpoint::At(client) => Ok(Client::clone(client)),
            Endpoint::Behind(sentinels) => sentinels.primary(self.connect_timeout).await,
            Endpoint::Over(cluster) => Ok(cluster.find(slot_of(key)).await?.client.clone()),
            Endpoint::Of(_, master) => Ok(master.client.clone()),
        }
    }

    /// A connection for this key, and those of its slot, with the answer time-out `timeout` instead of the usual one.
    pub async fn dial_for(&self, key: &str, timeout: Duration) -> RedisResult<LedgerConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(timeout));
        let cluster = match &self.endpoint {
            Endpoint::Over(cluster) | Endpoint::Of(cluster, _) => Some(cluster.clone()),
            Endpoint::At(_) | Endpoint::Behind(_) => None,
        };
        let client = self.primary(key).await?;
        let conn = client.get_multiplexed_async_connection_with_config(&config).await;
        let conn = conn.map_err(|error| {
            let at = client.get_connection_info().addr();
            // What Redis itself has said names no address, and needs none.
            if error.is_io_error() {
                RedisError::from((ErrorKind::Io, "can't connect", format!("{at}: {error}")))
            } else {
                error
            }
        });
        if let (Err(_), Some(cluster)) = (&conn, &cluster) {
            cluster.look_again();
        }
        Ok(LedgerConnection { conn: conn?, cluster, left: None })
    }

    /// The same, and an error unless it is to a primary that serves its data. Connections of this process to another one are
    /// left from now on.
    pub async fn dial_primary(&self, key: &str, timeout: Duration) -> RedisResult<LedgerConnection> {
        let mut conn = self.dial_for(key, timeout).await?;
        let found = info(&mut conn, "default").await?;
        if let Some(why) = compatibility::why_not_primary(&found) {
            conn.cluster.iter().for_each(|cluster| cluster.look_again());
            let at = format!("{}: {why}", self.address());
            return Err(RedisError::from((
                ErrorKind::Extension,
                "not a primary that takes reservations",
                at,
            )));
        }
        if matches!(self.endpoint, Endpoint::At(_) | Endpoint::Behind(_)) {
            self.note_primary(found.get("run_id"));
        }
        Ok(conn)
    }

    /// Another process than before is the primary: what comes over a connection to the former one must not be acknowledged.
    fn note_primary(&self, run_id: Option<&String>) {
        let mut seen = self.primary_seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(before), Some(now)) = (&*seen, run_id)
            && before != now
        {
            tracing::warn!(address = self.address(), was = before, now, "another Redis is the primary now");
            self.has_moved();
        }
        if let Some(run_id) = run_id {
            *seen = Some(run_id.clone());
        }
    }

    /// A pool for all that is not hot.
    #[must_use]
    pub fn pool(&self, size: usize) -> Pool {
        Pool::of(self.clone(), size)
    }
}

impl Dial for Redis {
    type Conn = LedgerConnection;

    async fn dial(&self) -> RedisResult<LedgerConnection> {
        self.dial_primary(SALES, self.answer_timeout).await
    }

    fn holder(&self, slot: u16) -> Holder {
        let Some(cluster) = self.cluster() else { return Holder::Only };
        cluster.holder(slot).map_or(Holder::Unknown, |master| Holder::Master(master.address.clone()))
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

/// The part of a URL with several hosts that is before them, `USER:PASSWORD@` or nothing, and the hosts.
pub(crate) fn user_and_hosts(authority: &str) -> (&str, &str) {
    authority.split_at(authority.rfind('@').map_or(0, |at| at + 1))
}

/// What Redis says of itself, by name; `section` as `INFO` takes it.
pub async fn info(conn: &mut impl ConnectionLike, section: &str) -> RedisResult<HashMap<String, String>> {
    let text: String = redis::cmd("INFO").arg(section).query_async(conn).await?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

/// Which Redis process is at the other end: a restarted or promoted one has another run_id.
pub async fn read_run_id(conn: &mut impl ConnectionLike) -> RedisResult<String> {
    info(conn, "server").await?.remove("run_id").ok_or_else(|| {
        redis::RedisError::from((redis::ErrorKind::UnexpectedReturnType, "INFO server names no run_id"))
    })
}
