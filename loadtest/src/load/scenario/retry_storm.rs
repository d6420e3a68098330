//! `retry-storm`: clients that give an answer up after 300 ms and ask again at once, with the same key; some take a new one, as an
//! app does that forgets what it did. The more a gateway slows down, the more of them there are.

use std::time::Instant;

use crate::base::outcome::Outcome;
use crate::load::session::{Session, Tap, TapPolicy};
use crate::plan::Start;

/// So many keys somebody uses, who forgets them.
const KEYS_MAX: u32 = 4;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    session.get_ready(start).await;
    let Some(intended) = session.begins(start).await else { return };
    let storm = &session.load.profile.retry_storm;
    let policy = TapPolicy::Impatient { patience: storm.patience.0, new_key: storm.new_key };
    let mut outcome = session.tap(Tap { intended, at_opening: start.at_us == 0, policy }).await;
    for _ in 1..KEYS_MAX {
        if outcome != Outcome::Unknown || session.load.is_over() {
            break;
        }
        outcome = session.tap(Tap { intended: Instant::now(), at_opening: false, policy }).await;
    }
    session.settle().await;
}
