//! `look`: only reads. One look at the sale for each arrival, at its instant, whatever the server does; what it took is counted from
//! the instant.

use crate::load::walk::Walk;
use crate::plan::Start;

pub(crate) async fn walk(mut walk: Walk<'_>, start: Start) {
    let Some(intended) = walk.begins(start).await else { return };
    walk.look_since(intended).await;
}
