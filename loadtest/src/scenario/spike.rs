//! `spike`: everybody has the app open, the connection is warm, the countdown runs by the server's clock. In the instant of the
//! opening all thumbs come down (or at `--arrivals`, counted from it). Winners pay, cancel or walk away.

use crate::plan::Start;
use crate::walk::{Fingers, Tap, Walk};

pub(super) async fn walk(mut walk: Walk<'_>, start: Start) {
    if start.is_ready() {
        walk.warm_up().await;
    }
    let intended = walk.instant(start.at_us);
    if !walk.until(intended).await {
        return walk.stays_away(start);
    }
    walk.starts(intended).await;
    let fingers = if walk.buyer.twice { Fingers::Two } else { Fingers::Polite };
    walk.tap(Tap { intended, at_opening: start.at_us == 0, fingers }).await;
    walk.settle().await;
}
