//! `soak`: a steady mix for hours. Everybody looks and taps; some change their mind; winners pay and are given their money back later,
//! cancel, or let their hold run out, so that stock comes back as fast as it goes and the last hour is like the first.

use std::time::Instant;

use crate::load::buyer::After;
use crate::load::session::{Session, Tap};
use crate::plan::Start;

/// Of a hundred winners, who change their packages.
const AMEND: u32 = 20;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    if session.begins(start).await.is_none() {
        return;
    }
    session.look().await;
    let policy = session.policy();
    // He looks first, so that what he waits is counted from his tap.
    let tapped = Instant::now();
    let outcome = session.tap(Tap { intended: tapped, at_opening: false, policy }).await;
    if !outcome.holds() || !session.think().await {
        return;
    }
    if session.buyer.rolls(AMEND) {
        let packages =
            session.load.catalogue.other_packages(&session.buyer.selection, &mut session.buyer.rng);
        session.amend(&serde_json::json!({ "packages": packages })).await;
    }
    match session.buyer.after {
        After::Confirm => {
            session.confirm().await;
            if session.think().await {
                session.cancel(true).await;
            }
        }
        After::Cancel => session.cancel(false).await,
        After::Abandon => {}
    }
}
