//! Runs `look`: reads the sale once for each arrival, at its instant, whatever the server does;
//! latency counts from that instant.

use crate::load::session::Session;
use crate::plan::Start;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    let Some(intended) = session.begins(start).await else { return };
    session.look_since(intended).await;
}
