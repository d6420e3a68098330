//! As whom this gateway takes part in the fleet, and what it has heard of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use crate::domain::policy::Rate;
use crate::fleet::GONE;
use crate::fleet::report::GatewayReport;

/// For how long it is remembered that a gateway was heard of.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// A gateway joins after this time at the latest, whatever its peers do: one that crashed is listed for a while.
const JOIN_MAX: Duration = Duration::from_secs(3);

/// Who lives, as Redis told it.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// When it was told.
    pub at: Instant,
    /// The reports of all that live, this gateway among them, by id.
    pub live: BTreeMap<String, String>,
    /// The rates that ops have set for all gateways, by policy.
    pub limits: BTreeMap<&'static str, Option<Rate>>,
}

/// This gateway in the fleet.
#[derive(Debug)]
pub struct Membership {
    id: String,
    listen: String,
    latest: ArcSwapOption<Heartbeat>,
    is_leaving: AtomicBool,
    wake: Notify,
    leave_sent: watch::Sender<bool>,
    joining: Mutex<Option<Joining>>,
    joined: watch::Sender<bool>,
    /// By id; not of one that has ended as it was told to.
    known_peers: Mutex<BTreeMap<String, KnownPeer>>,
}

/// Peers that may not have received this gateway's membership yet.
#[derive(Debug)]
struct Joining {
    since: Instant,
    /// By id, with the number of the heartbeat after which the peer has it: the second one after this gateway's first.
    peers: BTreeMap<String, u64>,
}

/// A gateway that was heard of.
#[derive(Debug)]
struct KnownPeer {
    /// When last.
    at: Instant,
    listen: String,
    /// Of its latest report.
    beats: u64,
}

impl Membership {
    /// A gateway that listens here for apps; its id is made up.
    #[must_use]
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

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it listens for apps.
    #[must_use]
    pub fn listen(&self) -> &str {
        &self.listen
    }

    /// What was heard last.
    #[must_use]
    pub fn latest(&self) -> Option<Arc<Heartbeat>> {
        self.latest.load_full()
    }

    /// Whether it is on its way out, and so tells it.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    /// Whether every peer would wait for this gateway's report in a recovery. Until then it must not acknowledge a change:
    /// a peer that recovers the ledger without it would lose what only this gateway acknowledged.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        *self.joined.borrow()
    }

    /// Waits until [`Self::has_joined`].
    pub async fn wait_until_joined(&self) {
        let _ = self.joined.subscribe().wait_for(|joined| *joined).await;
    }

    /// Tells the fleet that this gateway leaves, so that nobody takes it for one that has crashed. Not longer than this.
    pub async fn leave(&self, patience: Duration) {
        self.is_leaving.store(true, Relaxed);
        self.wake.notify_one();
        // Without Redis nobody can be told.
        let _ =
            tokio::time::timeout(patience, self.leave_sent.subscribe().wait_for(|leave_sent| *leave_sent))
                .await;
    }

    /// Notes who lives and what ops have set, as was told after a report that was made while it was leaving, or not yet.
    pub(crate) fn note_heartbeat(
        &self,
        live: BTreeMap<String, String>,
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

    /// A peer writes its heartbeat and reads the members in one call. Its first one after this gateway's has read this
    /// gateway; when its second one is there, it has taken that in. One that drains is not waited for.
    fn update_joining(&self, live: &BTreeMap<String, String>) {
        if self.has_joined() {
            return;
        }
        let beats = |id: &String| {
            let report = live.get(id).map(|text| parse_report(text)).filter(|report| !report.draining);
            report.map(|report| report.beats)
        };
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

    fn remember_peers(&self, live: &BTreeMap<String, String>) {
        let now = Instant::now();
        let mut known_peers = self.known_peers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, text) in live {
            let report = parse_report(text);
            // It is listed for some seconds after its last word.
            let has_ended =
                report.draining && known_peers.get(id).is_some_and(|known| known.beats == report.beats);
            if has_ended {
                known_peers.remove(id);
            } else {
                known_peers
                    .insert(id.clone(), KnownPeer { at: now, listen: report.listen, beats: report.beats });
            }
        }
        known_peers.retain(|_, known| now.saturating_duration_since(known.at) < REMEMBERED);
    }

    /// The gateways that lived then, as far as was heard here: their ids, and where they listen. Redis itself may have
    /// forgotten them when it comes back. Where nothing has been heard since, those that lived when something was.
    pub(crate) fn live_peers_at(&self, then: Instant) -> BTreeMap<String, String> {
        let known_peers = self.known_peers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(latest) = known_peers.values().map(|known| known.at).max() else { return BTreeMap::new() };
        let lived = known_peers.iter().filter(|(_, known)| known.at + GONE >= then.min(latest));
        lived.map(|(id, known)| (id.clone(), known.listen.clone())).collect()
    }

    /// Waits until the next report is due: sooner as long as this gateway has not joined.
    pub(crate) async fn wait_for_next_beat(&self, beat: Duration) {
        let beat = if self.has_joined() { beat } else { beat / 10 };
        let _ = tokio::time::timeout(beat, self.wake.notified()).await;
    }
}

fn parse_report(text: &str) -> GatewayReport {
    serde_json::from_str(text).unwrap_or_default()
}

#[cfg(test)]
mod tests;
