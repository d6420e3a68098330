//! `spike`: everybody has the app open, the connection is warm, the countdown runs by the server's clock. In the instant of the
//! opening all thumbs come down (or at `--arrivals`, counted from it). Winners pay, cancel or walk away.

use crate::load::walk::{Tap, Walk};
use crate::plan::Start;

pub(crate) async fn walk(mut walk: Walk<'_>, start: Start) {
    walk.get_ready(start).await;
    let Some(intended) = walk.begins(start).await else { return };
    let fingers = walk.fingers();
    walk.tap(Tap { intended, at_opening: start.at_us == 0, fingers }).await;
    walk.settle().await;
}
