//! Ends a load when a threshold can't be met any more, for `--abort-on-fail`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::base::scenario::Scenario;
use crate::load::{Load, Queue};
use crate::plan::profile::Profile;
use crate::threshold::{RunBounds, ScenarioBounds, Threshold};

/// Judges the running load once a second, until it is dropped.
pub(super) struct AbortOnFail {
    task: JoinHandle<()>,
    lost: Arc<Mutex<Option<String>>>,
}

const EVERY: Duration = Duration::from_secs(1);
/// More keys than any session of these scenarios uses: too high a bound ends a run later, too low a one too early.
const KEYS_OF_A_SESSION: u64 = 10;

impl AbortOnFail {
    pub(super) fn start(load: Arc<Load>, thresholds: Vec<Threshold>) -> AbortOnFail {
        let lost = Arc::new(Mutex::new(None));
        let found = Arc::clone(&lost);
        let bounds = bounds(&load);
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let figures = load.figures().without_time();
                if let Some(threshold) = thresholds.iter().find(|one| one.is_lost(&figures, &bounds)) {
                    *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(threshold.to_string());
                    goose::trigger_killswitch("a threshold can't be met any more");
                    return;
                }
            }
        });
        AbortOnFail { task, lost }
    }

    /// The threshold that ended the load, if one did.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for AbortOnFail {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The most that the plan can come to.
fn bounds(load: &Load) -> RunBounds {
    let of_a_queue = |queue: &Queue| {
        let starts = queue.count as u64;
        let taps = taps_of_a_start(queue.scenario, &load.profile).map(|taps| starts * taps);
        (queue.scenario, ScenarioBounds { starts, taps })
    };
    RunBounds(load.queues.iter().map(of_a_queue).collect())
}

/// How often a session taps at most; `None`: as often as there is time for.
fn taps_of_a_start(scenario: Scenario, profile: &Profile) -> Option<u64> {
    match scenario {
        scenario if !scenario.taps() => Some(0),
        Scenario::SPIKE | Scenario::CUSTOMISE | Scenario::SOAK => Some(1),
        Scenario::CROWD => Some(1 + u64::from(profile.crowd.looks_again)),
        Scenario::ABANDON | Scenario::RETRY_STORM => Some(KEYS_OF_A_SESSION),
        // Bots, recordings, and scenarios of a program's own.
        _ => None,
    }
}
