//! How connections to Redis are opened: settings, time-outs, the run_id of what is at the other end.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisResult};

use super::Pool;
use super::durability::Durability;
use super::scripts::Copies;
use super::sentinel::Sentinels;

/// Opens connections; a lane is generic over it, so that Cluster can come.
pub trait Dial: Clone + 'static {
    /// What it opens.
    type Conn: ConnectionLike + Clone + 'static;
    /// Opens one. It must give up by itself.
    fn dial(&self) -> impl Future<Output = RedisResult<Self::Conn>>;
    /// Grows whenever the ledger is seen somewhere else: a connection from before goes to where it was.
    fn moves(&self) -> u64 {
        0
    }
}

/// The Redis that the ledger is in.
#[derive(Clone)]
pub struct Redis {
    place: Place,
    connect_timeout: Duration,
    answer_timeout: Duration,
    durability: Durability,
    /// How often another primary was named than before; of all copies of this value together.
    moves: Arc<AtomicU64>,
}

/// Where it is.
#[derive(Clone)]
enum Place {
    At(Box<Client>),
    /// At whichever address sentinels say.
    Behind(Arc<Sentinels>),
}

impl Redis {
    /// `url` is `redis://`, `rediss://`, `unix:`, `redis+sentinel://` or `rediss+sentinel://`. Nothing is connected yet.
    pub fn new(url: &str, connect_timeout: Duration, answer_timeout: Duration) -> RedisResult<Self> {
        let place = match Sentinels::parse(url) {
            Some(sentinels) => Place::Behind(Arc::new(sentinels?)),
            None => {
                // Off by default in the redis crate; a batch must not wait for the one before to be acknowledged.
                let info = url.into_connection_info()?;
                let settings = info.tcp_settings().clone().set_nodelay(true);
                Place::At(Box::new(Client::open(info.set_tcp_settings(settings))?))
            }
        };
        let (durability, moves) = (Durability::default(), Arc::default());
        Ok(Self { place, connect_timeout, answer_timeout, durability, moves })
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
    pub fn copies(&self) -> Option<Copies> {
        match self.durability {
            Durability::Replicas(replicas) => Some(Copies { replicas, wait: self.answer_timeout / 4 }),
            _ => None,
        }
    }

    /// Whether it is always at the same address.
    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.place, Place::At(_))
    }

    /// Whether it is reached by an address of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let Place::At(client) = &self.place else { return false };
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
        match &self.place {
            Place::At(client) => client.get_connection_info().addr().to_string(),
            Place::Behind(sentinels) => sentinels.shown().to_owned(),
        }
    }

    /// Until it must have taken a connection.
    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Until it must have answered.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// Another is the primary now. The former one may go on answering for as long as sentinels leave it alone (10 s), and
    /// what it is told meanwhile is lost.
    pub(super) fn has_moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// A client of the one that is the primary at the moment.
    pub(super) async fn primary(&self) -> RedisResult<Client> {
        match &self.place {
            Place::At(client) => Ok(Client::clone(client)),
            Place::Behind(sentinels) => sentinels.primary(self.connect_timeout).await,
        }
    }

    /// A connection with the answer time-out `timeout` instead of the usual one.
    pub async fn dial_with(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(timeout));
        self.primary().await?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A pool for all that is not hot.
    #[must_use]
    pub fn pool(&self, size: usize) -> Pool {
        Pool::of(self.clone(), size)
    }
}

impl Dial for Redis {
    type Conn = MultiplexedConnection;

    async fn dial(&self) -> RedisResult<MultiplexedConnection> {
        self.dial_with(self.answer_timeout).await
    }

    fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }
}

/// What Redis says of itself, by name; `section` as `INFO` takes it.
pub async fn info(conn: &mut impl ConnectionLike, section: &str) -> RedisResult<HashMap<String, String>> {
    let text: String = redis::cmd("INFO").arg(section).query_async(conn).await?;
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

/// Which Redis process is at the other end: a restarted or promoted one has another run_id.
pub async fn run_id(conn: &mut impl ConnectionLike) -> RedisResult<String> {
    info(conn, "server").await?.remove("run_id").ok_or_else(|| {
        redis::RedisError::from((redis::ErrorKind::UnexpectedReturnType, "INFO server names no run_id"))
    })
}
