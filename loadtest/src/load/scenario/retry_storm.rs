//! `retry-storm`: clients that give an answer up after 300 ms and ask again at once, with the same key; some take a new one, as an
//! app does that forgets what it did. The more a gateway slows down, the more of them there are.

use std::time::Instant;

use crate::base::outcome::Outcome;
use crate::load::walk::{Fingers, Tap, Walk};
use crate::plan::Start;

/// So many keys somebody uses, who forgets them.
const KEYS_MAX: u32 = 4;

pub(crate) async fn walk(mut walk: Walk<'_>, start: Start) {
    walk.get_ready(start).await;
    let Some(intended) = walk.begins(start).await else { return };
    let storm = &walk.load.profile.retry_storm;
    let fingers = Fingers::Impatient { patience: storm.patience.0, new_key: storm.new_key };
    let mut outcome = walk.tap(Tap { intended, at_opening: start.at_us == 0, fingers }).await;
    for _ in 1..KEYS_MAX {
        if outcome != Outcome::Unknown || walk.load.is_over() {
            break;
        }
        outcome = walk.tap(Tap { intended: Instant::now(), at_opening: false, fingers }).await;
    }
    walk.settle().await;
}
