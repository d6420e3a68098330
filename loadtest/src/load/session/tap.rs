//! Runs a tap: one key, one or two sessions at once, and retries until a final answer.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::mpsc::UnboundedSender;

use crate::base::clock::to_the_ms;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::client::{Request, Turn};
use crate::load::Load;
use crate::load::answer::{AnswerReading, Decision, to_tap};
use crate::load::attack::Note;
use crate::load::history::{ExchangeLog, Hold, SoldOut, TapHistory};
use crate::load::session::{Session, UNKNOWN_PAUSE, exchange, may_wait, note, pause_before};

/// A tap policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tap {
    /// When he meant to: what he waits is counted from here.
    pub(crate) intended: Instant,
    /// He meant the opening itself: when the tap leaves is part of the skew.
    pub(crate) at_opening: bool,
    pub(crate) policy: TapPolicy,
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

impl Session<'_> {
    /// Taps with a new key, adds its history and returns the outcome.
    pub(crate) async fn tap(&mut self, tap: Tap) -> Outcome {
        let key = self.buyer.new_key();
        let body = serde_json::to_string(&self.buyer.selection).ok();
        let path = format!("/v1/sales/{}/reservations", self.load.sale);
        let request = Request::post(path, &self.buyer.bearer, body).with_key(&key);
        let tapper = |number, rng, turn| Tapper {
            load: self.load,
            notes: self.notes.clone(),
            scenario: self.buyer.scenario,
            gateway: number,
            request: &request,
            tap,
            rng,
            turn,
        };
        let first = tapper(self.buyer.number, self.buyer.rng.fork(), self.turn.take()).tap();
        let result = if matches!(tap.policy, TapPolicy::Two) {
            // The second session may reach another gateway: the key alone must make them one tap.
            let second = tapper(self.buyer.number + 1, self.buyer.rng.fork(), None).tap();
            let (first, second) = tokio::join!(first, second);
            vec![first, second]
        } else {
            vec![first.await]
        };
        let mut history =
            TapHistory::new(self.buyer.sub.clone(), key, self.buyer.scenario, self.buyer.selection.clone());
        let outcome = merge_results(&mut history, result);
        self.buyer.history.push(history);
        let now = Instant::now();
        let waited = now.saturating_duration_since(tap.intended);
        self.load.figures().ended(self.buyer.scenario, outcome, self.load.us(now), waited);
        outcome
    }
}

/// Joins the results of all sessions with one key.
fn merge_results(history: &mut TapHistory, result: Vec<TapResult>) -> Outcome {
    for result in result {
        history.outcome = Some(history.outcome.map_or(result.outcome, |outcome| outcome.min(result.outcome)));
        history.holds.extend(result.holds);
        history.sold_out.extend(result.sold_out);
        history.findings.extend(result.findings);
        history.log.join(result.log);
    }
    history.outcome.unwrap_or(Outcome::Unknown)
}

struct Tapper<'a> {
    load: &'a Load,
    notes: UnboundedSender<Note>,
    scenario: Scenario,
    gateway: usize,
    request: &'a Request,
    tap: Tap,
    rng: Rng,
    /// Of the first try, where it has got it already.
    turn: Option<Turn<'a>>,
}

/// The result of one session's tap with its retries.
struct TapResult {
    outcome: Outcome,
    holds: Vec<Hold>,
    sold_out: Vec<SoldOut>,
    findings: Vec<String>,
    log: ExchangeLog,
}

impl Tapper<'_> {
    async fn tap(mut self) -> TapResult {
        let load = self.load;
        let mut result = TapResult {
            outcome: Outcome::Unknown,
            holds: Vec::new(),
            sold_out: Vec::new(),
            findings: Vec::new(),
            log: ExchangeLog::default(),
        };
        // When the last try with a lost answer was sent.
        let mut unknown: Option<Instant> = None;
        let (timeout, tries) = match self.tap.policy {
            TapPolicy::Impatient { patience, .. } => (patience.min(load.timeout), load.tries),
            TapPolicy::Once => (load.timeout, 1),
            TapPolicy::Polite | TapPolicy::Two => (load.timeout, load.tries),
        };
        for attempt in 0..tries {
            let gateway = self.gateway + attempt as usize;
            let turn = match self.turn.take() {
                Some(turn) => turn,
                None => load.client.turn().await,
            };
            let answer =
                load.client.send_in(turn, gateway, self.request, timeout, load.moments.deadline).await;
            if attempt == 0 {
                self.left(answer.sent);
            }
            let AnswerReading { decision, word, retry_after, findings } = to_tap(&answer.reply);
            let good = findings.is_empty() && answer.reply.is_ok();
            note(load, &self.notes, self.scenario, "reserve", &format!(" ({word})"), &answer, good, true);
            result.log.push(exchange(load, gateway, self.request, &answer));
            result.findings.extend(findings);
            result.outcome = decision.gives_up_as(unknown.is_some());
            let answered = answer.sent + answer.took;
            let mut pause = pause_before(retry_after, attempt, &mut self.rng);
            if let Some(outcome) = decision.ends() {
                // A refusal soon after a lost answer may be older than the lost one: the contract
                // has the app retry once.
                let doubtful = !outcome.holds()
                    && outcome != Outcome::Wrong
                    && unknown.is_some_and(|sent| answered < sent + UNKNOWN_PAUSE);
                if !doubtful {
                    result.outcome =
                        if outcome.holds() && unknown.is_some() { Outcome::Resolved } else { outcome };
                    result.keep(decision, load, answer.sent, answered);
                    break;
                }
                pause = pause.max(UNKNOWN_PAUSE);
            } else if matches!(decision, Decision::Unknown) {
                unknown = Some(answer.sent);
                match self.tap.policy {
                    TapPolicy::Impatient { new_key, .. } if self.rng.u32(0..100) < new_key => break,
                    TapPolicy::Impatient { .. } => pause = Duration::ZERO,
                    _ => pause = pause.max(UNKNOWN_PAUSE),
                }
            }
            if attempt + 1 == tries || !may_wait(load, pause).await {
                break;
            }
            load.figures().retries += 1;
        }
        result
    }

    /// The first request has left.
    fn left(&self, sent: Instant) {
        if self.tap.at_opening {
            self.load.figures().tapped_at_opening(self.load.us(sent));
        }
    }
}

impl TapResult {
    fn keep(&mut self, decision: Decision, load: &Load, asked: Instant, answered: Instant) {
        match decision {
            Decision::Won(hold) | Decision::Replayed(hold) => self.holds.push(hold),
            Decision::SoldOut { items, last } => {
                let [asked, answered] = [asked, answered].map(|instant| to_the_ms(load.clock.at(instant)));
                self.sold_out.push(SoldOut { items, last, asked, answered });
            }
            _ => {}
        }
    }
}
