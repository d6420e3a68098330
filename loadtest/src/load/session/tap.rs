//! Runs a tap: one key, one or two sessions at once, and retries until a final answer.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::base::outcome::{Outcome, StepEnd};
use crate::base::requests::RESERVE;
use crate::client::{Request, Turn};
use crate::load::answer::to_tap;
use crate::load::history::{SoldOut, TapHistory};
use crate::load::session::record::exchange;
use crate::load::session::{Session, UNKNOWN_PAUSE, pause_before};

/// A tap, or one of the two that a buyer makes at once.
#[derive(Clone, Copy)]
struct Tap {
    /// It is meant for the opening itself: when it leaves is part of the skew.
    at_opening: bool,
    policy: TapPolicy,
}

/// How patient a tap is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TapPolicy {
    /// As the contract asks: waits for answers and retries after `Retry-After` with the same key.
    Polite,
    /// The same with two sessions at once.
    Two,
    /// Gives up an answer after this time and asks again at once; so many of a hundred times as if it were a new tap.
    Impatient { patience: Duration, new_key: u32 },
    /// Asks once.
    Once,
}

impl Session {
    /// The tap policy of a patient buyer: one session, or two at once.
    pub(crate) fn policy(&self) -> TapPolicy {
        if self.buyer.twice { TapPolicy::Two } else { TapPolicy::Polite }
    }

    /// Taps with a new key, adds its history and returns the outcome. The buyer's wait is counted from when the tap was
    /// due.
    pub(crate) async fn tap(&mut self, policy: TapPolicy) -> Outcome {
        let key = self.buyer.new_key();
        let tap = Tap { at_opening: std::mem::take(&mut self.is_for_opening), policy };
        let request = self.reservation(&self.buyer.bearer, &key);
        let mut history = self.new_history(key);
        let (rng, turn, number) = (self.buyer.rng.fork(), self.turn.take(), self.buyer.number);
        let second = matches!(tap.policy, TapPolicy::Two).then(|| (self.buyer.rng.fork(), history.clone()));
        let first = self.tap_until_final(tap, &request, number, turn, rng, &mut history);
        if let Some((rng, mut other)) = second {
            // The second session may reach another gateway: the key alone must make them one tap.
            tokio::join!(first, self.tap_until_final(tap, &request, number + 1, None, rng, &mut other));
            history.join(other);
        } else {
            first.await;
        }
        let outcome = history.outcome.unwrap_or(Outcome::Unknown);
        self.buyer.history.push(history);
        if !self.buyer.scenario.is_honest() {
            self.drop_last_if_uninformative();
        }
        let now = Instant::now();
        // What the end of the run cut short has no end that counts; the proof has its history.
        if outcome.step_end() != StepEnd::Undecided || !self.is_cut_short() {
            self.step_ended(RESERVE, outcome.step_end());
            let waited = now.saturating_duration_since(self.due);
            self.load.figures().ended(self.buyer.scenario, outcome, self.load.us(now), waited);
        }
        // What comes next without a pause is due now.
        self.due = now;
        outcome
    }

    /// The request that buys with this key, with this token.
    pub(super) fn reservation(&self, bearer: &str, key: &str) -> Request {
        let path = format!("/v1/sales/{}/reservations", self.load.sale);
        Request::post(path, bearer, serde_json::to_string(&self.buyer.selection).ok()).with_key(key)
    }

    /// One session's tap with its retries. `turn` is the first try's, where there is one already.
    async fn tap_until_final(
        &self,
        tap: Tap,
        request: &Request,
        number: usize,
        mut turn: Option<Turn>,
        mut rng: Rng,
        history: &mut TapHistory,
    ) {
        let load = &*self.load;
        // When the last try with a lost answer was sent.
        let mut unknown: Option<Instant> = None;
        let (timeout, tries) = match tap.policy {
            TapPolicy::Impatient { patience, .. } => (patience.min(load.timeout), load.tries),
            TapPolicy::Once => (load.timeout, 1),
            TapPolicy::Polite | TapPolicy::Two => (load.timeout, load.tries),
        };
        for attempt in 0..tries {
            let gateway = number + attempt as usize;
            let (turn, deadline) = (turn.take(), load.moments.deadline);
            let answer = self.caller.send(turn, gateway, request, timeout, deadline).await;
            if attempt == 0 && tap.at_opening {
                // An app that still waits for a read when the sale opens taps late because of the server.
                let left = answer.sent - self.server_wait(self.due, answer.sent);
                load.figures().tapped_at_opening(load.us(left));
            }
            let reading = to_tap(&answer.reply);
            self.record((RESERVE, reading.word), request, &answer, reading.class);
            history.log.push(exchange(load, request, &answer));
            history.outcome = Some(reading.gives_up_as(unknown.is_some()));
            history.findings.extend(reading.findings);
            let answered = answer.sent + answer.took;
            if reading.result == Outcome::Refused {
                let (asked, answered) = load.exchanged(&answer);
                history.refuse_by_phase(reading.word, asked, answered);
            }
            let mut pause = pause_before(reading.retry_after, attempt, &mut rng);
            let outcome = reading.result;
            if reading.ends {
                // A refusal soon after a lost answer may be older than the lost one: the contract
                // has the app retry once.
                let doubtful = !outcome.holds()
                    && outcome != Outcome::Wrong
                    && unknown.is_some_and(|sent| answered < sent + UNKNOWN_PAUSE);
                if !doubtful {
                    let resolved = outcome.holds() && unknown.is_some();
                    history.outcome = Some(if resolved { Outcome::Resolved } else { outcome });
                    history.holds.extend(reading.hold.map(|hold| self.stamped(hold, &answer)));
                    if outcome == Outcome::SoldOut {
                        let (asked, answered) = load.exchanged(&answer);
                        let (items, last) = (reading.problem.items, reading.problem.r#final);
                        history.sold_out.push(SoldOut { items, last, asked, answered });
                    }
                    return;
                }
                pause = pause.max(UNKNOWN_PAUSE);
            } else if outcome == Outcome::Unknown {
                unknown = Some(answer.sent);
                match tap.policy {
                    TapPolicy::Impatient { new_key, .. } if rng.u32(0..100) < new_key => return,
                    TapPolicy::Impatient { .. } => pause = Duration::ZERO,
                    _ => pause = pause.max(UNKNOWN_PAUSE),
                }
            }
            if attempt + 1 == tries || !self.pause(pause).await {
                return;
            }
            load.figures().retries += 1;
        }
    }
}
