//! `soak`: a steady mix for hours. Everybody looks and taps; some change their mind; winners pay and are given their money back later,
//! cancel, or let their hold run out, so that stock comes back as fast as it goes and the last hour is like the first.

use std::time::Instant;

use crate::load::buyer::After;
use crate::load::walk::{Tap, Walk};
use crate::plan::Start;

/// Of a hundred winners, who change their packages.
const AMEND: u32 = 20;

pub(crate) async fn walk(mut walk: Walk<'_>, start: Start) {
    if walk.begins(start).await.is_none() {
        return;
    }
    walk.look().await;
    let fingers = walk.fingers();
    // He looks first, so that what he waits is counted from his tap.
    let tapped = Instant::now();
    let outcome = walk.tap(Tap { intended: tapped, at_opening: false, fingers }).await;
    if !outcome.holds() || !walk.think().await {
        return;
    }
    if walk.buyer.rolls(AMEND) {
        let packages = walk.load.menu.other_packages(&walk.buyer.wish, &mut walk.buyer.rng);
        walk.amend(&serde_json::json!({ "packages": packages })).await;
    }
    match walk.buyer.after {
        After::Confirm => {
            walk.confirm().await;
            if walk.think().await {
                walk.cancel(true).await;
            }
        }
        After::Cancel => walk.cancel(false).await,
        After::Abandon => {}
    }
}
