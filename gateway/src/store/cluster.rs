//! Which master of a Redis Cluster has which keys: `redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT`, and
//! `rediss+cluster://` where all of it is in TLS.
//!
//! The map of slots is learned from any node that can be reached, and again once a second, whenever a node says that it has
//! not got the keys that it was asked for, and whenever a connection is lost. Nothing is ever sent again from here: who was
//! told that a slot is elsewhere finds the right master the next time.

mod conn;
mod slots;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
pub(crate) use conn::ClusterAwareConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    RedisResult, TlsCertificates, Value,
};
use slots::{Range, UNKNOWN, ranges};
use tokio::sync::{Mutex, Notify, watch};

use crate::store::acl;
use crate::store::dial::user_and_hosts;
use crate::store::keys::SLOTS;
use crate::store::reply::{shape, unreadable};

/// Between two looks at the map, whatever happens meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks at least, however many ask for one.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A Redis Cluster.
pub(crate) struct Cluster {
    /// Where it is asked first. The first has user, password and TLS of all nodes.
    seeds: Vec<ConnectionInfo>,
    /// Without user and password.
    shown: String,
    /// For how long one node is asked.
    patience: Duration,
    map: ArcSwapOption<Map>,
    /// Told after each new map.
    learned: watch::Sender<()>,
    asking: Mutex<()>,
    wanted: Notify,
}

/// Who has which slot.
pub(crate) struct Map {
    asked: Instant,
    masters: Vec<Arc<Master>>,
    /// By slot, where its master is in the list.
    holders: Vec<Option<u16>>,
}

/// A master.
pub(crate) struct Master {
    /// `HOST:PORT`
    pub(crate) address: Arc<str>,
    /// Of the node.
    id: String,
    pub(crate) client: Client,
}

impl Cluster {
    /// Reads a URL; `None` if it is of another kind. A node is waited for as long as `patience`.
    pub(crate) fn parse(url: &str, patience: Duration) -> Option<RedisResult<Self>> {
        let (scheme, rest) = url.split_once("+cluster://")?;
        Some(Self::read(scheme, rest, patience))
    }

    fn read(scheme: &str, rest: &str, patience: Duration) -> RedisResult<Self> {
        if !matches!(scheme, "redis" | "rediss") {
            return Err(wrong("is neither redis+cluster:// nor rediss+cluster://"));
        }
        let (authority, path) = rest.split_once(['/', '?']).unwrap_or((rest, ""));
        if !matches!(path, "" | "0") {
            return Err(wrong(
                "has something after the hosts: a cluster has no databases, and nothing else to choose",
            ));
        }
        let (user, hosts) = user_and_hosts(authority);
        let one = |host: &str| {
            let info = format!("{scheme}://{user}{host}").into_connection_info()?;
            Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
        };
        let seeds =
            hosts.split(',').filter(|host| !host.is_empty()).map(one).collect::<RedisResult<Vec<_>>>()?;
        if seeds.is_empty() {
            return Err(wrong("names no node"));
        }
        Ok(Self {
            seeds,
            shown: format!("{scheme}+cluster://{hosts}"),
            patience,
            map: ArcSwapOption::empty(),
            learned: watch::Sender::new(()),
            asking: Mutex::default(),
            wanted: Notify::new(),
        })
    }

    /// Trusts certificates that these have signed and no others, and shows the one among them.
    pub(crate) fn trust(&mut self, trusted: &TlsCertificates) -> RedisResult<()> {
        for seed in &mut self.seeds {
            *seed = Client::build_with_tls(seed.clone(), trusted.clone())?.get_connection_info().clone();
        }
        Ok(())
    }

    /// Without user and password.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// The master that has this slot, as far as is known.
    pub(crate) fn holder(&self, slot: u16) -> Option<Arc<Master>> {
        self.map.load().as_ref()?.holder(slot)
    }

    /// Whether there is a master at this address, as far as is known.
    pub(crate) fn has(&self, address: &str) -> bool {
        self.map
            .load()
            .as_ref()
            .is_some_and(|map| map.masters.iter().any(|master| *master.address == *address))
    }

    /// The master that has this slot, by a map that is no older than a second if any node can be asked.
    pub(crate) async fn find(&self, slot: u16) -> RedisResult<Arc<Master>> {
        let map = self.young().await?;
        map.holder(slot).ok_or_else(|| {
            let covered = map.holders.iter().flatten().count();
            let told = format!("slot {slot} is not served, {covered} of {SLOTS} are: CLUSTER ADDSLOTS, or bring its master back");
            RedisError::from((ErrorKind::Io, "the cluster has a gap", told))
        })
    }

    /// All masters that have slots, by such a map.
    pub(crate) async fn masters(&self) -> RedisResult<Vec<Arc<Master>>> {
        Ok(self.young().await?.masters.clone())
    }

    /// All masters that have slots, as soon as they are others than these.
    pub(crate) async fn other_masters(&self, known: &HashSet<Arc<str>>) -> Vec<Arc<Master>> {
        let mut learned = self.learned.subscribe();
        loop {
            if let Some(map) = self.map.load_full()
                && (map.masters.len() != known.len()
                    || !map.masters.iter().all(|m| known.contains(&m.address)))
            {
                return map.masters.clone();
            }
            // The sender lives as long as `self`, so waiting can't fail.
            let _ = learned.changed().await;
        }
    }

    async fn young(&self) -> RedisResult<Arc<Map>> {
        match self.map.load_full() {
            Some(map) if map.asked.elapsed() < LOOK => Ok(map),
            // An old one may still be right when nobody can be asked.
            old => self.look().await.or_else(|error| old.ok_or(error)),
        }
    }

    /// A node has not got what it should have, or can't be reached: the map may be outdated.
    pub(crate) fn look_again(&self) {
        self.wanted.notify_one();
    }

    /// A map that is younger than this call, if any node can be asked. The node that was asked may not have heard of it yet.
    pub(crate) async fn look_now(&self) {
        tokio::time::sleep(LOOK_AGAIN).await;
        let _ = self.look().await;
    }

    /// Keeps the map true for as long as the process lives.
    pub(crate) async fn keep(&self) {
        loop {
            // Who needs it is told why it can't be had.
            let _ = self.look().await;
            tokio::time::sleep(LOOK_AGAIN).await;
            let _ = tokio::time::timeout(LOOK, self.wanted.notified()).await;
        }
    }

    /// Asks one node after the other, until one knows that all is well.
    async fn look(&self) -> RedisResult<Arc<Map>> {
        let asked = Instant::now();
        let _turn = self.asking.lock().await;
        if let Some(map) = self.map.load_full().filter(|map| map.asked > asked) {
            return Ok(map);
        }
        let (mut doubtful, mut failed) = (None, wrong("names no node"));
        for node in self.nodes() {
            let at = node.addr().to_string();
            match tokio::time::timeout(self.patience, self.ask(node)).await {
                Ok(Ok((map, true))) => return Ok(self.learn(map)),
                // One that is cut off from the others remembers what was.
                Ok(Ok((map, false))) => doubtful = doubtful.or(Some(map)),
                Ok(Err(error)) => failed = said(&at, &error),
                Err(_) => {
                    failed = RedisError::from((ErrorKind::Io, "no node answers", format!("{at}: timed out")))
                }
            }
        }
        doubtful.map(|map| self.learn(map)).ok_or(failed)
    }

    fn learn(&self, map: Map) -> Arc<Map> {
        let map = Arc::new(map);
        self.map.store(Some(map.clone()));
        self.learned.send_replace(());
        map
    }

    /// Masters and seeds, each once, beginning with any of the masters: one that lags behind is not asked every time.
    fn nodes(&self) -> Vec<ConnectionInfo> {
        let known = self.map.load_full();
        let mut masters: Vec<&ConnectionInfo> = known
            .iter()
            .flat_map(|map| &map.masters)
            .map(|master| master.client.get_connection_info())
            .collect();
        fastrand::shuffle(&mut masters);
        let mut nodes: Vec<ConnectionInfo> = Vec::new();
        for node in masters.into_iter().chain(&self.seeds) {
            if !nodes.iter().any(|known| known.addr() == node.addr()) {
                nodes.push(node.clone());
            }
        }
        nodes
    }

    /// What a node takes the map to be, and whether it says that all is well.
    async fn ask(&self, node: ConnectionInfo) -> RedisResult<(Map, bool)> {
        let asked = Instant::now();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.patience))
            .set_response_timeout(Some(self.patience));
        let client = Client::open(node)?;
        let mut conn = client.get_multiplexed_async_connection_with_config(&config).await?;
        let state: String = redis::cmd("CLUSTER").arg("INFO").query_async(&mut conn).await?;
        let slots: Value = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut conn).await?;
        let host = match client.get_connection_info().addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.as_str(),
            _ => "",
        };
        let mut map = Map { asked, masters: Vec::new(), holders: vec![None; SLOTS.into()] };
        let ranges = ranges(&slots, host).ok_or_else(|| {
            unreadable("CLUSTER SLOTS", "ranges of slots with their masters", &shape(&slots))
        })?;
        for range in ranges {
            if range.host == UNKNOWN {
                return Err(announced(format!(
                    "CLUSTER SLOTS names the endpoint \"?\" for slots {} to {}: set cluster-announce-hostname on every node, or \
                     cluster-preferred-endpoint-type ip",
                    range.slots.start,
                    range.slots.end - 1,
                )));
            }
            let at = map.place(&range, &self.seeds[0])?;
            map.holders[range.slots].fill(Some(at));
        }
        Ok((map, state.contains("cluster_state:ok")))
    }
}

impl Map {
    fn holder(&self, slot: u16) -> Option<Arc<Master>> {
        let at = self.holders.get(usize::from(slot)).copied()??;
        self.masters.get(usize::from(at)).cloned()
    }

    /// Where the master of this range is in the list. It is spoken to like the first seed.
    fn place(&mut self, range: &Range, like: &ConnectionInfo) -> RedisResult<u16> {
        let (host, port) = (range.host.clone(), range.port);
        let address = format!("{host}:{port}");
        let found = self.masters.iter().position(|master| *master.address == address);
        if let Some(other) = found.map(|at| &self.masters[at].id).filter(|id| **id != range.id) {
            return Err(announced(format!(
                "CLUSTER SLOTS names one endpoint, {address}, for two masters ({other} and {}): set cluster-announce-ip, or \
                 cluster-announce-hostname, on every node",
                range.id,
            )));
        }
        let at = match found {
            Some(at) => at,
            None => {
                let to = match like.addr() {
                    ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                        host,
                        port,
                        insecure: *insecure,
                        tls_params: tls_params.clone(),
                    },
                    _ => ConnectionAddr::Tcp(host, port),
                };
                let client = Client::open(like.clone().set_addr(to))?;
                self.masters.push(Arc::new(Master { address: address.into(), id: range.id.clone(), client }));
                self.masters.len() - 1
            }
        };
        u16::try_from(at).map_err(|_| wrong("has more masters than slots"))
    }
}

/// In words, where a node said no.
fn said(at: &str, error: &RedisError) -> RedisError {
    if error.to_string().contains("cluster support disabled") {
        let told = format!("give it as redis://{at}, or name a node of the cluster");
        return RedisError::from((
            ErrorKind::InvalidClientConfig,
            "this Redis is no node of a cluster",
            told,
        ));
    }
    match (error.kind(), error.detail()) {
        (ErrorKind::InvalidClientConfig, Some(why)) => {
            RedisError::from((ErrorKind::InvalidClientConfig, ANNOUNCED, format!("{at}: {why}")))
        }
        _ => RedisError::from((ErrorKind::Io, "no node answers", format!("{at}: {}", acl::explain(error)))),
    }
}

/// The nodes name endpoints that can't be used.
fn announced(why: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, ANNOUNCED, why))
}

const ANNOUNCED: &str = "the cluster announces endpoints that can't be used";

fn wrong(why: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, why))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
