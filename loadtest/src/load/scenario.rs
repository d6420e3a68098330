//! Selects the session of each scenario; `scenario/` has a file for each.

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
    /// Buyers that wait for the opening each hold an open connection, all at once.
    pub(crate) fn waits_for_the_opening(self) -> bool {
        matches!(self, Scenario::Spike | Scenario::RetryStorm)
    }

    /// Runs one buyer's session.
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
