//! Runs `customise`: buyers reserve with `accept_partial`, browse the stores of their city, change
//! store and packages, and pay for the version shown last.

use crate::load::session::{Session, Tap, TapPolicy};
use crate::plan::Start;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    let Some(intended) = session.begins(start).await else { return };
    session.buyer.selection.accept_partial = true;
    let outcome = session.tap(Tap { intended, at_opening: false, policy: TapPolicy::Polite }).await;
    if !outcome.holds() || !session.think().await {
        return;
    }
    if let Some(store) = session.browse().await {
        if !session.think().await {
            return;
        }
        session.amend(&serde_json::json!({ "store": store })).await;
    }
    if !session.think().await {
        return;
    }
    let packages = session.load.catalogue.other_packages(&session.buyer.selection, &mut session.buyer.rng);
    session.amend(&serde_json::json!({ "packages": packages })).await;
    if session.think().await {
        session.confirm().await;
    }
}
