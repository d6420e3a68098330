//! The journeys of the scenarios. Each one's story is a file of its own in `scenario/`.

mod abandon;
mod bots;
mod crowd;
mod customise;
mod look;
mod retry_storm;
mod soak;
mod spike;

use crate::base::scenario::Scenario;
use crate::load::walk::Walk;
use crate::plan::Start;

impl Scenario {
    /// Those who wait for the opening instant have an open connection each, and must all be there at once.
    pub(crate) fn waits_for_the_opening(self) -> bool {
        matches!(self, Scenario::Spike | Scenario::RetryStorm)
    }

    /// One buyer's journey.
    pub(crate) async fn walk(self, walk: Walk<'_>, start: Start) {
        match self {
            Scenario::Spike => spike::walk(walk, start).await,
            Scenario::Crowd => crowd::walk(walk, start).await,
            Scenario::Customise => customise::walk(walk, start).await,
            Scenario::Abandon => abandon::walk(walk, start).await,
            Scenario::RetryStorm => retry_storm::walk(walk, start).await,
            Scenario::Bots => bots::walk(walk, start).await,
            Scenario::Soak => soak::walk(walk, start).await,
            Scenario::Look => look::walk(walk, start).await,
        }
    }
}
