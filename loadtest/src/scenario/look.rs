//! `look`: only reads. One look at the sale for each arrival, at its instant, whatever the server does; what it took is counted from
//! the instant.

use crate::plan::Start;
use crate::walk::Walk;

pub(super) async fn walk(mut walk: Walk<'_>, start: Start) {
    let intended = walk.instant(start.at_us);
    if !walk.until(intended).await {
        return walk.stays_away(start);
    }
    walk.starts(intended).await;
    walk.look_since(intended).await;
}
