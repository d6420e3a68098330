//! How connections to Redis are opened: settings, time-outs, the run_id of what is at the other end.

use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

use deadpool_redis::{Hook, Pool, Runtime};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisResult};

use super::POOL_USE;
use super::durability::Durability;
use super::scripts::Copies;

/// Opens connections; a lane is generic over it, so that Sentinel and Cluster can come.
pub trait Dial: Clone + 'static {
    /// What it opens.
    type Conn: ConnectionLike + Clone + 'static;
    /// Opens one. It must give up by itself.
    fn dial(&self) -> impl Future<Output = RedisResult<Self::Conn>>;
}

/// One Redis at one address.
#[derive(Clone)]
pub struct Redis {
    client: redis::Client,
    info: ConnectionInfo,
    connect_timeout: Duration,
    answer_timeout: Duration,
    durability: Durability,
}

impl Redis {
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

    /// `url` is `redis://`, `rediss://` or `unix:`. Nothing is connected yet.
    pub fn new(url: &str, connect_timeout: Duration, answer_timeout: Duration) -> RedisResult<Self> {
        // Off by default in the redis crate; a batch must not wait for the one before to be acknowledged.
        let info = url.into_connection_info()?;
        let settings = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_tcp_settings(settings);
        let client = redis::Client::open(info.clone())?;
        Ok(Self { client, info, connect_timeout, answer_timeout, durability: Durability::default() })
    }

    /// Whether it is reached by an address of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self.info.addr() {
            ConnectionAddr::Unix(_) => true,
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
            _ => false,
        }
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn address(&self) -> &ConnectionAddr {
        self.info.addr()
    }

    /// Until it must have answered.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// A connection with the answer time-out `timeout` instead of the usual one.
    pub async fn dial_with(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(timeout));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A pool for all that is not hot. Every checkout is checked by a `PING`.
    pub fn pool(&self, size: usize) -> Result<Pool, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.answer_timeout.max(Duration::from_secs(10))));
        let manager =
            deadpool_redis::Manager::new_with_config(self.info.clone(), config).map_err(|e| e.to_string())?;
        let wait = Some(self.connect_timeout + self.answer_timeout);
        Pool::builder(manager)
            .max_size(size)
            .wait_timeout(wait)
            .create_timeout(wait)
            .recycle_timeout(wait)
            .runtime(Runtime::Tokio1)
            .post_create(Hook::sync_fn(|_, _| {
                POOL_USE.connected();
                Ok(())
            }))
            .build()
            .map_err(|e| e.to_string())
    }
}

impl Dial for Redis {
    type Conn = MultiplexedConnection;

    async fn dial(&self) -> RedisResult<MultiplexedConnection> {
        self.dial_with(self.answer_timeout).await
    }
}

/// Which Redis process is at the other end: a restarted or promoted one has another run_id.
pub async fn run_id(conn: &mut impl ConnectionLike) -> RedisResult<String> {
    let info: String = redis::cmd("INFO").arg("server").query_async(conn).await?;
    let found = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    found.map(|id| id.trim().to_owned()).ok_or_else(|| {
        redis::RedisError::from((redis::ErrorKind::UnexpectedReturnType, "INFO server names no run_id"))
    })
}
