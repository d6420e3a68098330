//! Runs `crowd`: a whole day. Buyers arrive before the opening, poll as the server asks, and tap at
//! the opening; others come later. After "sold out" some retry; winners pay, cancel or let the hold
//! expire.

use std::time::Instant;

use crate::base::outcome::Outcome;
use crate::load::session::{Session, Tap, TapPolicy};
use crate::plan::Start;

pub(crate) async fn run_session(mut session: Session<'_>, start: Start) {
    if session.begins(start).await.is_none() {
        return;
    }
    session.look().await;
    session.read_time().await;
    let waits = start.at_us < 0;
    if waits {
        if !waits_for_the_opening(&mut session).await {
            return;
        }
    } else if !session.think().await {
        return;
    }
    let intended = if waits { session.opening() } else { Instant::now() };
    let policy = session.policy();
    let mut outcome = session.tap(Tap { intended, at_opening: waits, policy }).await;
    for _ in 0..session.load.profile.crowd.looks_again {
        if outcome != Outcome::SoldOut || !something_comes_back(&mut session).await {
            break;
        }
        outcome =
            session.tap(Tap { intended: Instant::now(), at_opening: false, policy: TapPolicy::Polite }).await;
    }
    session.settle().await;
}

/// Polls the sale as the app does, until the countdown is over.
async fn waits_for_the_opening(session: &mut Session<'_>) -> bool {
    loop {
        let next = Instant::now() + session.poll_pause();
        let opening = session.opening();
        if next >= opening {
            return session.until(opening).await;
        }
        if !session.until(next).await {
            return false;
        }
        session.look().await;
    }
}

/// Looks once more, after as long as the server asks for.
async fn something_comes_back(session: &mut Session<'_>) -> bool {
    let pause = session.poll_pause();
    session.pause(pause).await && session.look().await.is_some() && session.sees_some_left()
}
