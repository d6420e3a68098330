//! `spike`: everybody has the app open, the connection is warm, the countdown runs by the server's clock. In the instant of the
//! opening all thumbs come down (or at `--arrivals`, counted from it). Winners pay, cancel or walk away.

use crate::load::session::{Session, Tap};
use crate::plan::Start;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    session.get_ready(start).await;
    let Some(intended) = session.begins(start).await else { return };
    let policy = session.policy();
    session.tap(Tap { intended, at_opening: start.at_us == 0, policy }).await;
    session.settle().await;
}
