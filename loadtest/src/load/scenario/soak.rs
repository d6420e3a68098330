//! Runs `soak`: a steady mix for hours. Some buyers amend; winners pay and are refunded later,
//! cancel, or let the hold expire. Stock returns as fast as it sells, so the last hour equals the
//! first.

use std::time::Instant;

use crate::load::buyer::After;
use crate::load::session::{Session, Tap};
use crate::plan::Start;

/// Percentage of winners that change their packages.
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
