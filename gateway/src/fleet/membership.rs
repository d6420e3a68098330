//! This gateway's membership in the fleet, and the peers that it has seen.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use crate::domain::policy::Rate;
use crate::fleet::GONE;
use crate::fleet::report::Reports;

/// How long a peer is remembered after its last heartbeat.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// A gateway joins after this time at the latest: a crashed peer stays listed for some seconds.
const JOIN_MAX: Duration = Duration::from_secs(3);

/// The live gateways, as of one heartbeat.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// The time of the heartbeat.
    pub at: Instant,
    /// The reports of all live gateways, this one included, by id.
    pub live: Reports,
    /// The rates that ops set for all gateways, by policy.
    pub limits: BTreeMap<&'static str, Option<Rate>>,
}

/// This gateway in the fleet.
#[derive(Debug)]
pub struct Membership {
    /// This gateway's id.
    pub id: String,
    /// Its listening address for apps.
    pub listen: String,
    latest: ArcSwapOption<Heartbeat>,
    is_leaving: AtomicBool,
    wake: Notify,
    leave_sent: watch::Sender<bool>,
    joining: Mutex<Option<Joining>>,
    joined: watch::Sender<bool>,
    /// By id; without peers that have left.
    known_peers: Mutex<BTreeMap<String, KnownPeer>>,
}

/// Peers that may not have read this gateway's membership yet.
#[derive(Debug)]
struct Joining {
    since: Instant,
    /// By id, the heartbeat number that proves the peer has read it: the second one after this
    /// gateway's first.
    peers: BTreeMap<String, u64>,
}

/// A peer that was seen.
#[derive(Debug)]
struct KnownPeer {
    /// The time of its latest report.
    at: Instant,
    listen: String,
    /// The number of its latest heartbeat.
    beats: u64,
}

impl Membership {
    /// A gateway that listens at this address for apps; its id is random.
    pub fn new(listen: String) -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            listen,
            latest: ArcSwapOption::empty(),
            is_leaving: AtomicBool::new(false),
            wake: Notify::new(),
            leave_sent: watch::Sender::new(false),
            joining: Mutex::default(),
            joined: watch::Sender::new(false),
            known_peers: Mutex::default(),
        }
    }

    /// The latest view of the fleet.
    pub fn latest(&self) -> Option<Arc<Heartbeat>> {
        self.latest.load_full()
    }

    /// Whether it is draining, and announces that.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    /// Whether every peer would wait for this gateway's report in a recovery. Before that it must
    /// not acknowledge a change: a recovery without it would lose the change.
    pub fn has_joined(&self) -> bool {
        *self.joined.borrow()
    }

    /// Waits until [`Self::has_joined`].
    pub async fn wait_until_joined(&self) {
        let _ = self.joined.subscribe().wait_for(|joined| *joined).await;
    }

    /// Announces that this gateway leaves, so that peers do not treat it as crashed. Waits at most
    /// `patience`.
    pub async fn leave(&self, patience: Duration) {
        self.is_leaving.store(true, Relaxed);
        self.wake.notify_one();
        // Without Redis there is no way to announce it.
        let _ =
            tokio::time::timeout(patience, self.leave_sent.subscribe().wait_for(|leave_sent| *leave_sent))
                .await;
    }

    /// Stores the live gateways and the limits; `was_leaving`: the heartbeat announced it.
    pub(crate) fn note_heartbeat(
        &self,
        live: Reports,
        limits: BTreeMap<&'static str, Option<Rate>>,
        was_leaving: bool,
    ) {
        self.remember_peers(&live);
        self.update_joining(&live);
        self.latest.store(Some(Arc::new(Heartbeat { at: Instant::now(), live, limits })));
        if was_leaving {
            self.leave_sent.send_replace(true);
        }
    }

    /// A peer writes its heartbeat and reads the members in one call. Its first one after this
    /// gateway's has read this gateway, and its second one proves that it was processed. Draining
    /// peers do not count.
    fn update_joining(&self, live: &Reports) {
        if self.has_joined() {
            return;
        }
        let beats = |id: &String| live.get(id).filter(|report| !report.draining).map(|report| report.beats);
        let mut joining = self.joining.lock().unwrap_or_else(PoisonError::into_inner);
        let joining = joining.get_or_insert_with(|| {
            let peers = live.keys().filter(|id| **id != self.id);
            let peers = peers.filter_map(|id| Some((id.clone(), beats(id)? + 2))).collect();
            Joining { since: Instant::now(), peers }
        });
        joining.peers.retain(|id, has_it_at| beats(id).is_some_and(|beats| beats < *has_it_at));
        if joining.peers.is_empty() || joining.since.elapsed() > JOIN_MAX {
            self.joined.send_replace(true);
        }
    }

    fn remember_peers(&self, live: &Reports) {
        let now = Instant::now();
        let mut known_peers = self.known_peers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, report) in live {
            // It stays listed for some seconds after its last heartbeat.
            let has_ended =
                report.draining && known_peers.get(id).is_some_and(|known| known.beats == report.beats);
            if has_ended {
                known_peers.remove(id);
            } else {
                let known = KnownPeer { at: now, listen: report.listen.clone(), beats: report.beats };
                known_peers.insert(id.clone(), known);
            }
        }
        known_peers.retain(|_, known| now.saturating_duration_since(known.at) < REMEMBERED);
    }

    /// The gateways that were live at `then`, with their addresses, from this process's own view: a
    /// restarted Redis may have lost the list. Without a later view, those of the latest one.
    pub(crate) fn live_peers_at(&self, then: Instant) -> BTreeMap<String, String> {
        let known_peers = self.known_peers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(latest) = known_peers.values().map(|known| known.at).max() else { return BTreeMap::new() };
        let lived = known_peers.iter().filter(|(_, known)| known.at + GONE >= then.min(latest));
        lived.map(|(id, known)| (id.clone(), known.listen.clone())).collect()
    }

    /// Waits for the next heartbeat; the interval is shorter until this gateway has joined.
    pub(crate) async fn wait_for_next_beat(&self, beat: Duration) {
        let beat = if self.has_joined() { beat } else { beat / 10 };
        let _ = tokio::time::timeout(beat, self.wake.notified()).await;
    }
}

#[cfg(test)]
mod tests;
