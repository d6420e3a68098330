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
use crate::load::session::Session;
use crate::plan::Start;

impl Scenario {
    /// Those who wait for the opening instant have an open connection each, and must all be there at once.
    pub(crate) fn waits_for_the_opening(self) -> bool {
        matches!(self, Scenario::Spike | Scenario::RetryStorm)
    }

    /// One buyer's journey.
    pub(crate) async fn run_session(self, session: Session<'_>, start: Start) {
        match self {
            Scenario::Spike => spike::run_session(session, start).await,
            Scenario::Crowd => crowd::run_session(session, start).await,
            Scenario::Customise => customise::run_session(session, start).await,
            Scenario::Abandon => abandon::run_session(session, start).await,
            Scenario::RetryStorm => retry_storm::run_session(session, start).await,
            Scenario::Bots => bots::run_session(session, start).await,
            Scenario::Soak => soak::run_session(session, start).await,
            Scenario::Look => look::run_session(session, start).await,
        }
    }
}
