//! Runs `abandon`: a first wave reserves and neither pays nor cancels; its holds expire. A second
//! wave gets the returned stock and pays. This needs a short hold, such as a rehearsal's `hold =
//! "20s"`.

use std::time::{Duration, Instant};

use crate::base::outcome::Outcome;
use crate::load::session::{Session, Tap, TapPolicy};
use crate::plan::Start;

/// Holds of the first wave expire one by one; an early buyer of the second wave retries.
const ASKS_AGAIN: u32 = 3;
/// An expired hold's stock is free within a second.
const SOON: Duration = Duration::from_secs(1);

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    let Some(intended) = session.begins(start).await else { return };
    let is_second = start.at_us >= session.load.second_wave_us;
    let mut outcome = session.tap(Tap { intended, at_opening: false, policy: TapPolicy::Polite }).await;
    if !is_second {
        return;
    }
    for _ in 0..ASKS_AGAIN {
        if outcome != Outcome::SoldOut || !session.pause(SOON).await {
            break;
        }
        outcome =
            session.tap(Tap { intended: Instant::now(), at_opening: false, policy: TapPolicy::Polite }).await;
    }
    if outcome.holds() && session.think().await {
        session.confirm().await;
    }
}
