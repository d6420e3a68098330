//! `look`: only reads. One look at the sale for each arrival, at its instant, whatever the server does; what it took is counted from
//! the instant.

use crate::load::session::Session;
use crate::plan::Start;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    let Some(intended) = session.begins(start).await else { return };
    session.look_since(intended).await;
}
