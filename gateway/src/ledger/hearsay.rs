//! As whom this gateway takes part in the fleet, and what it has heard of the others.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::fleet::GONE;
use crate::admit::policy::Rate;
use crate::ops::report::GatewayReport;

/// For how long it is remembered that a gateway was heard of.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// Who lives, as Redis told it.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When it was told.
    pub at: Instant,
    /// The reports of all that live, this gateway among them, by id.
    pub live: BTreeMap<String, String>,
    /// The rates that ops have set for all gateways, by policy.
    pub limits: BTreeMap<&'static str, Option<Rate>>,
}

/// This gateway in the fleet.
#[derive(Debug)]
pub struct Hearsay {
    id: String,
    listen: String,
    latest: ArcSwapOption<Heard>,
    is_leaving: AtomicBool,
    at_once: Notify,
    said: watch::Sender<bool>,
    /// By id; not of one that has ended as it was told to.
    heard_of: Mutex<BTreeMap<String, HeardOf>>,
}

/// A gateway that was heard of.
#[derive(Debug)]
struct HeardOf {
    /// When last.
    at: Instant,
    listen: String,
    /// Of its latest report.
    beats: u64,
}

impl Hearsay {
    /// A gateway that listens here for apps; its id is made up.
    #[must_use]
    pub fn new(listen: String) -> Self {
        Self {
            id: format!("{:016x}", fastrand::u64(..)),
            listen,
            latest: ArcSwapOption::empty(),
            is_leaving: AtomicBool::new(false),
            at_once: Notify::new(),
            said: watch::Sender::new(false),
            heard_of: Mutex::default(),
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
    pub fn latest(&self) -> Option<Arc<Heard>> {
        self.latest.load_full()
    }

    /// Whether it is on its way out, and so tells it.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.is_leaving.load(Relaxed)
    }

    /// Tells the fleet that this gateway leaves, so that nobody takes it for one that has crashed. Not longer than this.
    pub async fn leave(&self, patience: Duration) {
        self.is_leaving.store(true, Relaxed);
        self.at_once.notify_one();
        // Without Redis nobody can be told.
        let _ = tokio::time::timeout(patience, self.said.subscribe().wait_for(|said| *said)).await;
    }

    /// Notes who lives and what ops have set, as was told after a report that was made while it was leaving, or not yet.
    pub(super) fn heard(
        &self,
        live: BTreeMap<String, String>,
        limits: BTreeMap<&'static str, Option<Rate>>,
        was_leaving: bool,
    ) {
        self.remember(&live);
        self.latest.store(Some(Arc::new(Heard { at: Instant::now(), live, limits })));
        if was_leaving {
            self.said.send_replace(true);
        }
    }

    fn remember(&self, live: &BTreeMap<String, String>) {
        let now = Instant::now();
        let mut heard_of = self.heard_of.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, report) in live {
            let report: GatewayReport = serde_json::from_str(report).unwrap_or_default();
            // It is listed for some seconds after its last word.
            let has_ended =
                report.draining && heard_of.get(id).is_some_and(|known| known.beats == report.beats);
            if has_ended {
                heard_of.remove(id);
            } else {
                heard_of.insert(id.clone(), HeardOf { at: now, listen: report.listen, beats: report.beats });
            }
        }
        heard_of.retain(|_, known| now.saturating_duration_since(known.at) < REMEMBERED);
    }

    /// The gateways that lived then, as far as was heard here: their ids, and where they listen. Redis itself may have
    /// forgotten them when it comes back. Where nothing has been heard since, those that lived when something was.
    pub(super) fn lived_at(&self, then: Instant) -> BTreeMap<String, String> {
        let heard_of = self.heard_of.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(latest) = heard_of.values().map(|known| known.at).max() else { return BTreeMap::new() };
        let lived = heard_of.iter().filter(|(_, known)| known.at + GONE >= then.min(latest));
        lived.map(|(id, known)| (id.clone(), known.listen.clone())).collect()
    }

    /// Waits until the next report is due.
    pub(super) async fn next(&self, beat: Duration) {
        let _ = tokio::time::timeout(beat, self.at_once.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_leaves_is_asked_at_once_and_waits_until_it_was_said() {
        let fleet = Arc::new(Hearsay::new("here".into()));
        let forever = Duration::from_secs(3_600);
        let (leaving, beating) = (fleet.clone(), fleet.clone());
        let says = async move {
            beating.next(forever).await;
            assert!(beating.is_leaving());
            beating.heard(BTreeMap::new(), BTreeMap::new(), false);
            assert!(!*beating.said.borrow());
            beating.heard([("a".to_owned(), "{}".to_owned())].into(), BTreeMap::new(), true);
        };
        tokio::join!(leaving.leave(forever), says);
        assert_eq!(fleet.latest().map(|heard| heard.live.len()), Some(1));
    }
}
