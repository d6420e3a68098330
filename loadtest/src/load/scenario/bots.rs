//! Runs `bots`: few accounts on many connections, without pauses and with a new key for every tap.
//! Some requests carry expired or forged tokens. Thresholds count bots only by name; their wins are
//! proved like any other.

use std::time::Instant;

use crate::client::Request;
use crate::client::tokens::Forger;
use crate::load::session::{Session, Tap, TapPolicy};
use crate::plan::Start;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    let Some(begins) = session.begins(start).await else { return };
    let bots = session.load.profile.bots.clone();
    let ends = begins + bots.lasts.0;
    while Instant::now() < ends && !session.load.is_over() {
        let roll = session.buyer.rng.u32(0..100);
        if roll < bots.stale + bots.forged {
            let bearer = if roll < bots.stale {
                session.load.forger.stale(&session.buyer.sub)
            } else {
                Forger::forged(&session.buyer.bearer, &mut session.buyer.rng)
            };
            let path = format!("/v1/sales/{}/reservations", session.load.sale);
            let body = serde_json::to_string(&session.buyer.selection).ok();
            let request = Request::post(path, &bearer, body).with_key(&session.buyer.new_key());
            session.send_bad_token(&request).await;
        } else {
            let intended = Instant::now();
            session.tap(Tap { intended, at_opening: false, policy: TapPolicy::Once }).await;
            session.drop_last_if_uninformative();
        }
    }
}
