//! Slot routing in a Redis Cluster: `redis+cluster://[USER:PASSWORD@]HOST:PORT,HOST:PORT`.
//!
//! Any reachable node supplies the slot map: once a second, after a redirection, and after a lost connection.
//! Nothing is resent here: a caller that gets a redirection finds the right master at its next call.

mod conn;
mod slots;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
pub(crate) use conn::ClusterAwareConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult,
    TlsCertificates, Value,
};
use slots::{Range, UNKNOWN, ranges};
use tokio::sync::{Mutex, Notify, watch};

use crate::store::acl;
use crate::store::dial::{time_limits, user_and_hosts, wrong};
use crate::store::keys::SLOTS;
use crate::store::reply::{shape, unreadable};

/// The refresh interval of the map.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// The shortest interval between two refreshes, however many are requested.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(50);

pub(crate) struct Cluster {
    /// The initial nodes. The first one's user, password and TLS apply to all nodes.
    seeds: Vec<ConnectionInfo>,
    /// The address without user and password.
    pub(crate) shown: String,
    /// The time limit for one node.
    node_timeout: Duration,
    map: ArcSwapOption<Map>,
    /// Notified after each new map.
    updated: watch::Sender<()>,
    asking: Mutex<()>,
    wanted: Notify,
}

/// The masters by slot.
pub(crate) struct Map {
    asked: Instant,
    masters: Vec<Arc<Master>>,
    /// By slot, the master's index in the list.
    holders: Vec<Option<u16>>,
}

/// A master of the cluster.
pub(crate) struct Master {
    /// `HOST:PORT`
    pub(crate) address: Arc<str>,
    /// Id of the node.
    id: String,
    pub(crate) client: Client,
}

impl Cluster {
    /// Parses a URL; `None` if it is of another kind. `node_timeout` is the time limit for one node.
    pub(crate) fn parse(url: &str, node_timeout: Duration) -> RedisResult<Option<Self>> {
        let Some((scheme, rest)) = url.split_once("+cluster://") else { return Ok(None) };
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
        Ok(Some(Self {
            seeds,
            shown: format!("{scheme}+cluster://{hosts}"),
            node_timeout,
            map: ArcSwapOption::empty(),
            updated: watch::Sender::new(()),
            asking: Mutex::default(),
            wanted: Notify::new(),
        }))
    }

    /// Trusts only these authorities, and presents their client certificate.
    pub(crate) fn trust(&mut self, trusted: &TlsCertificates) -> RedisResult<()> {
        for seed in &mut self.seeds {
            *seed = Client::build_with_tls(seed.clone(), trusted.clone())?.get_connection_info().clone();
        }
        Ok(())
    }

    /// The master of this slot by the current map.
    pub(crate) fn holder(&self, slot: u16) -> Option<Arc<Master>> {
        self.map.load().as_ref()?.holder(slot)
    }

    /// Whether the current map has a master at this address.
    pub(crate) fn has(&self, address: &str) -> bool {
        self.map.load().iter().flat_map(|map| &map.masters).any(|master| *master.address == *address)
    }

    /// The master of this slot, by a map not older than a second if any node is reachable.
    pub(crate) async fn find(&self, slot: u16) -> RedisResult<Arc<Master>> {
        let map = self.fresh_map().await?;
        map.holder(slot).ok_or_else(|| {
            let covered = map.holders.iter().flatten().count();
            let detail = format!(
                "slot {slot} is not served, {covered} of {SLOTS} are: CLUSTER ADDSLOTS, \
                or bring its master back"
            );
            RedisError::from((ErrorKind::Io, "the cluster has a gap", detail))
        })
    }

    /// All masters with slots, by such a map.
    pub(crate) async fn masters(&self) -> RedisResult<Vec<Arc<Master>>> {
        Ok(self.fresh_map().await?.masters.clone())
    }

    /// All masters with slots, as soon as they differ from these.
    pub(crate) async fn other_masters(&self, known: &HashSet<Arc<str>>) -> Vec<Arc<Master>> {
        let mut updated = self.updated.subscribe();
        loop {
            if let Some(map) = self.map.load_full()
                && (map.masters.len() != known.len()
                    || !map.masters.iter().all(|m| known.contains(&m.address)))
            {
                return map.masters.clone();
            }
            // `self` owns the sender, so waiting can't fail.
            let _ = updated.changed().await;
        }
    }

    async fn fresh_map(&self) -> RedisResult<Arc<Map>> {
        match self.map.load_full() {
            Some(map) if map.asked.elapsed() < REFRESH_INTERVAL => Ok(map),
            // An outdated map may still be right when no node is reachable.
            old => self.refresh().await.or_else(|error| old.ok_or(error)),
        }
    }

    /// Requests a refresh: a redirection or a lost connection means that the map may be outdated.
    pub(crate) fn request_refresh(&self) {
        self.wanted.notify_one();
    }

    /// Waits for a map younger than this call, if any node is reachable. That node may itself be
    /// outdated.
    pub(crate) async fn refresh_now(&self) {
        tokio::time::sleep(REFRESH_INTERVAL_MIN).await;
        let _ = self.refresh().await;
    }

    /// Refreshes the map for the lifetime of the process.
    pub(crate) async fn refresh_forever(&self) {
        loop {
            // A caller that needs the map gets the error.
            let _ = self.refresh().await;
            tokio::time::sleep(REFRESH_INTERVAL_MIN).await;
            let _ = tokio::time::timeout(REFRESH_INTERVAL, self.wanted.notified()).await;
        }
    }

    /// Asks one node after the other, until one reports a healthy cluster.
    async fn refresh(&self) -> RedisResult<Arc<Map>> {
        let asked = Instant::now();
        let _turn = self.asking.lock().await;
        if let Some(map) = self.map.load_full().filter(|map| map.asked > asked) {
            return Ok(map);
        }
        let (mut doubtful, mut failed) = (None, wrong("names no node"));
        for node in self.nodes() {
            let at = node.addr().to_string();
            match tokio::time::timeout(self.node_timeout, self.ask(node)).await {
                Ok(Ok((map, true))) => return Ok(self.store_map(map)),
                // A node that is cut off from the others has an outdated map.
                Ok(Ok((map, false))) => doubtful = doubtful.or(Some(map)),
                Ok(Err(error)) => failed = node_error(&at, &error),
                Err(_) => {
                    failed = RedisError::from((ErrorKind::Io, "no node answers", format!("{at}: timed out")))
                }
            }
        }
        doubtful.map(|map| self.store_map(map)).ok_or(failed)
    }

    fn store_map(&self, map: Map) -> Arc<Map> {
        let map = Arc::new(map);
        self.map.store(Some(map.clone()));
        self.updated.send_replace(());
        map
    }

    /// Masters in random order, then seeds, each once: a lagging one is not asked every time.
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

    /// A node's map, and whether it reports a healthy cluster.
    async fn ask(&self, node: ConnectionInfo) -> RedisResult<(Map, bool)> {
        let asked = Instant::now();
        let client = Client::open(node)?;
        let config = time_limits(self.node_timeout, self.node_timeout);
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
            let at = map.index_of(&range, &self.seeds[0])?;
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

    /// The index of this range's master in the list. It is reached with the settings of the first
    /// seed.
    fn index_of(&mut self, range: &Range, like: &ConnectionInfo) -> RedisResult<u16> {
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

/// An error reply of a node, with its address.
fn node_error(at: &str, error: &RedisError) -> RedisError {
    if error.to_string().contains("cluster support disabled") {
        let what = "this Redis is not a node of a cluster";
        let detail = format!("give it as redis://{at}, or name a node of the cluster");
        return RedisError::from((ErrorKind::InvalidClientConfig, what, detail));
    }
    match (error.kind(), error.detail()) {
        (ErrorKind::InvalidClientConfig, Some(why)) => announced(format!("{at}: {why}")),
        _ => RedisError::from((ErrorKind::Io, "no node answers", format!("{at}: {}", acl::explain(error)))),
    }
}

/// An error about endpoints that the nodes announce.
fn announced(why: String) -> RedisError {
    let what = "the cluster announces endpoints that can't be used";
    RedisError::from((ErrorKind::InvalidClientConfig, what, why))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
