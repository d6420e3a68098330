//! `bots`: few accounts, each on many connections, without any pause. They take a new key for every tap, so that each could buy
//! anew; some requests carry a token that has expired, some one that nobody signed. What they are refused is in the figures
//! as theirs, and in no threshold that does not name them; what they win is proved like anybody's.

use std::time::Instant;

use crate::client::Request;
use crate::client::tokens::Forger;
use crate::load::walk::{Fingers, Tap, Walk};
use crate::plan::Start;

pub(crate) async fn walk(mut walk: Walk<'_>, start: Start) {
    let Some(begins) = walk.begins(start).await else { return };
    let bots = walk.load.profile.bots.clone();
    let ends = begins + bots.lasts.0;
    while Instant::now() < ends && !walk.load.is_over() {
        let roll = walk.buyer.rng.u32(0..100);
        if roll < bots.stale + bots.forged {
            let bearer = if roll < bots.stale {
                walk.load.forger.stale(&walk.buyer.sub)
            } else {
                Forger::forged(&walk.buyer.bearer, &mut walk.buyer.rng)
            };
            let path = format!("/v1/sales/{}/reservations", walk.load.sale);
            let body = serde_json::to_string(&walk.buyer.wish).ok();
            let request = Request::post(path, &bearer, body).with_key(&walk.buyer.new_key());
            walk.knock(&request).await;
        } else {
            let intended = Instant::now();
            walk.tap(Tap { intended, at_opening: false, fingers: Fingers::Once }).await;
            walk.forget_what_says_nothing();
        }
    }
}
