//! `customise`: buyers who take the car first and settle the rest afterwards. They reserve with `accept_partial`, browse the stores of
//! their city, change store and packages, and pay for the version that they were shown last.

use crate::load::walk::{Fingers, Tap, Walk};
use crate::plan::Start;

pub(crate) async fn walk(mut walk: Walk<'_>, start: Start) {
    let Some(intended) = walk.begins(start).await else { return };
    walk.buyer.wish.accept_partial = true;
    let outcome = walk.tap(Tap { intended, at_opening: false, fingers: Fingers::Polite }).await;
    if !outcome.holds() || !walk.think().await {
        return;
    }
    if let Some(store) = walk.browse().await {
        if !walk.think().await {
            return;
        }
        walk.amend(&serde_json::json!({ "store": store })).await;
    }
    if !walk.think().await {
        return;
    }
    let packages = walk.load.menu.other_packages(&walk.buyer.wish, &mut walk.buyer.rng);
    walk.amend(&serde_json::json!({ "packages": packages })).await;
    if walk.think().await {
        walk.confirm().await;
    }
}
