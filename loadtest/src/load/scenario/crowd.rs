//! `crowd`: the whole day. Buyers open the app in the time before the opening, ever more of them; it shows the sale, asks for the
//! server's time and polls as the server tells it to. In the instant of the opening the waiting ones tap; others come later, look,
//! think and tap. Who is told "sold out" looks a few times whether something came back, and tries again. Winners pay, cancel or let
//! their hold run out.

use std::time::Instant;

use crate::base::outcome::Outcome;
use crate::load::walk::{Fingers, Tap, Walk};
use crate::plan::Start;

pub(crate) async fn walk(mut walk: Walk<'_>, start: Start) {
    if walk.begins(start).await.is_none() {
        return;
    }
    walk.look().await;
    walk.ask_for_the_time().await;
    let waits = start.at_us < 0;
    if waits {
        if !waits_for_the_opening(&mut walk).await {
            return;
        }
    } else if !walk.think().await {
        return;
    }
    let intended = if waits { walk.opening() } else { Instant::now() };
    let fingers = walk.fingers();
    let mut outcome = walk.tap(Tap { intended, at_opening: waits, fingers }).await;
    for _ in 0..walk.load.profile.crowd.looks_again {
        if outcome != Outcome::SoldOut || !something_comes_back(&mut walk).await {
            break;
        }
        outcome =
            walk.tap(Tap { intended: Instant::now(), at_opening: false, fingers: Fingers::Polite }).await;
    }
    walk.settle().await;
}

/// Polls the sale as the app does, until the countdown is over.
async fn waits_for_the_opening(walk: &mut Walk<'_>) -> bool {
    loop {
        let next = Instant::now() + walk.poll_pause();
        let opening = walk.opening();
        if next >= opening {
            return walk.until(opening).await;
        }
        if !walk.until(next).await {
            return false;
        }
        walk.look().await;
    }
}

/// Looks once more, after as long as the server asks for.
async fn something_comes_back(walk: &mut Walk<'_>) -> bool {
    let pause = walk.poll_pause();
    walk.pause(pause).await && walk.look().await.is_some() && walk.sees_some_left()
}
