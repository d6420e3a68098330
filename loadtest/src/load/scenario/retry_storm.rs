//! Runs `retry-storm`: clients give up after 300 ms and retry at once with the same key; some take
//! a new key, like an app that lost it. A slower gateway gets more of them.

use std::time::Instant;

use crate::base::outcome::Outcome;
use crate::load::session::{Session, Tap, TapPolicy};
use crate::plan::Start;

/// How many keys a client uses that forgets its keys.
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
