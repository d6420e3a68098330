//! Runs `spike`: all buyers hold a warm connection and tap at the opening by the server's clock, or
//! at `--arrivals` after it. Winners pay, cancel or abandon the hold.

use crate::load::session::{Session, Tap};
use crate::plan::Start;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    session.get_ready(start).await;
    let Some(intended) = session.begins(start).await else { return };
    let policy = session.policy();
    session.tap(Tap { intended, at_opening: start.at_us == 0, policy }).await;
    session.settle().await;
}
