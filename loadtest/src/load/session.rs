//! Provides the steps of a session: look, synchronise the clock, browse, think. `session/tap.rs`
//! has the tap, `session/settle.rs` what winners do.

mod settle;
mod tap;

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

use crate::base::clock::{RoundTrip, after, to_the_ms};
use crate::base::outcome::{Outcome, StepEnd};
use crate::base::requests::{BAD_TOKEN, LOOK, STORES, TIME, by_bots};
use crate::base::span;
use crate::client::{Answer, Caller, Lost, Request, Turn};
use crate::figures::AnswerClass;
use crate::load::Load;
use crate::load::answer::class_of_read;
use crate::load::attack::GooseRequest;
use crate::load::buyer::Buyer;
use crate::load::history::{Exchange, Hold, TapHistory, clip};
use crate::plan::Start;
use crate::plan::selection::StorePage;

pub(crate) use tap::{Tap, TapPolicy};

/// A buyer's way through a scenario.
pub(crate) struct Session<'a> {
    pub(crate) load: &'a Load,
    pub(crate) buyer: &'a mut Buyer,
    /// Each request, for goose's report.
    notes: UnboundedSender<GooseRequest>,
    caller: Caller<'a>,
    /// The first request of the session may be sent.
    turn: Option<Turn<'a>>,
    /// The sale's page as last seen, and its tag.
    page: Option<(SalePage, String)>,
    /// When the next step is due: at the intended start, and after each pause of the buyer. A wait for answers since
    /// then is part of what the buyer waited.
    pub(crate) due: Instant,
    /// How long the buyer has paused so far.
    paused: Duration,
    /// The end of the run cut something short.
    is_cut_short: AtomicBool,
}

/// The sale as an app reads it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SalePage {
    pub(crate) phase: String,
    pub(crate) poll_after_ms: u64,
    models: Vec<Shown>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Shown {
    id: String,
    availability: String,
}

/// The answer of `/v1/time`.
#[derive(Deserialize)]
pub(crate) struct PublicTime {
    pub(crate) server_time: Timestamp,
}

/// How often a waiting session checks whether the run continues.
const LONG_WAIT: Duration = Duration::from_secs(1);
/// The pause before a retry without `Retry-After`.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const DOUBLINGS_MAX: u32 = 5;
/// A gateway that asks for more is not obeyed: the run has to end.
const PAUSE_MAX: Duration = Duration::from_secs(30);
const JITTER_MS_MIN: u64 = 20;
/// Before a retry after an answer that was lost, at least.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);
/// Polling apps without a word from the server.
const POLL_DEFAULT_MS: u64 = 2_000;

impl<'a> Session<'a> {
    pub(crate) fn new(
        load: &'a Load,
        buyer: &'a mut Buyer,
        notes: UnboundedSender<GooseRequest>,
    ) -> Session<'a> {
        Session {
            load,
            caller: load.client.caller(buyer.number, buyer.scenario),
            buyer,
            notes,
            turn: None,
            page: None,
            due: Instant::now(),
            paused: Duration::ZERO,
            is_cut_short: AtomicBool::new(false),
        }
    }

    /// The opening, or the start in its place, by the buyer's estimate of the server's clock plus
    /// its error: a tap before the server's opening is refused.
    pub(crate) fn opening(&self) -> Instant {
        match (self.load.opens_at, self.buyer.clock()) {
            (Some(opens_at), Some(clock)) => clock.instant_of(opens_at) + clock.error,
            _ => self.load.moments.opening,
        }
    }

    /// Microseconds after the opening, by this buyer's estimate of the server's clock.
    pub(crate) fn instant(&self, at_us: i64) -> Instant {
        after(self.opening(), SignedDuration::from_micros(at_us))
    }

    /// Waits for an instant; false if the run is over before.
    pub(crate) async fn until(&self, instant: Instant) -> bool {
        let instant = instant.min(self.load.moments.deadline);
        // Sleep in steps, so that an interrupted run ends soon.
        while Instant::now() + LONG_WAIT < instant && !self.load.is_over() {
            sleep(LONG_WAIT).await;
        }
        if !self.load.is_over() {
            self.load.timer.until(instant).await;
        }
        !self.load.is_over()
    }

    /// Waits; false, at once, when the run would be over before.
    pub(crate) async fn pause(&self, pause: Duration) -> bool {
        if self.load.is_over() || Instant::now() + pause >= self.load.moments.deadline {
            self.cut_short();
            return false;
        }
        sleep(pause).await;
        true
    }

    /// The end of the run cuts the session short: what it was about to do has no end that counts.
    fn cut_short(&self) {
        self.is_cut_short.store(true, Relaxed);
    }

    fn is_cut_short(&self) -> bool {
        self.is_cut_short.load(Relaxed) || self.load.is_over()
    }

    /// Pauses for the buyer; a pause is not counted as waiting. False if the run is over before.
    pub(crate) async fn rest(&mut self, pause: Duration) -> bool {
        (self.due, self.paused) = (Instant::now() + pause, self.paused + pause);
        self.pause(pause).await
    }

    /// Pauses for the buyer until an instant; false if the run is over before.
    pub(crate) async fn rest_until(&mut self, instant: Instant) -> bool {
        self.paused += instant.saturating_duration_since(Instant::now());
        self.due = instant;
        self.until(instant).await
    }

    /// Pauses for a think time of the profile.
    pub(crate) async fn think(&mut self) -> bool {
        let pause = self.buyer.think(&self.load.profile.buyers);
        self.rest(pause).await
    }

    /// Counts the journey from its intended start, without its buyer's pauses.
    pub(crate) fn journey_ended(&self, intended: Instant) {
        if self.buyer.scenario.is_honest() && !self.is_cut_short() {
            let took = intended.elapsed().saturating_sub(self.paused);
            self.load.figures().journey_ended(self.buyer.scenario, took);
        }
    }

    /// The tap policy of a patient buyer: one session, or two at once.
    pub(crate) fn policy(&self) -> TapPolicy {
        if self.buyer.twice { TapPolicy::Two } else { TapPolicy::Polite }
    }

    /// Waits for the intended start and returns it; `None` if the run ends before. The first
    /// request follows at once: a wait for a connection counts as lateness.
    pub(crate) async fn begins(&mut self, start: Start) -> Option<Instant> {
        let intended = self.instant(start.at_us);
        if !self.until(intended).await {
            self.load.figures().unsent(start.at_us);
            return None;
        }
        (self.due, self.paused) = (intended, Duration::ZERO);
        self.turn = self.caller.turn().await;
        let now = self.load.us(Instant::now());
        let late_after = self.load.profile.generator.late;
        self.load.figures().started(self.load.us(intended), now, late_after);
        Some(intended)
    }

    /// Prepares like a waiting app: reads the sale at its own moment, synchronises the clock, and
    /// again when all do, so that each tap has a connection. Later buyers do not prepare.
    pub(crate) async fn get_ready(&mut self, start: Start) {
        if !start.is_ready() {
            return;
        }
        let moments = self.load.moments;
        let window = moments.burst.saturating_duration_since(moments.warm_from);
        let own = moments.warm_from + window.mul_f64(self.buyer.rng.f64());
        if !self.until(own).await {
            return;
        }
        self.look().await;
        self.read_time().await;
        if self.until(moments.burst).await {
            self.read_time().await;
        }
    }

    /// One reading of the server's clock.
    pub(crate) async fn read_time(&mut self) {
        let request = Request::get("/v1/time".to_owned());
        let answer = self.send(&request).await;
        let time: Option<PublicTime> = answer.json();
        self.note_read(TIME, &answer, time.is_some());
        if let Some(time) = time {
            let (sent, received) = (answer.sent, answer.sent + answer.took);
            self.buyer.trips.push(RoundTrip { sent, received, server_time: time.server_time });
        }
    }

    /// Looks at the sale, as an app polls it: with the tag of what it has. Returns what it shows, if it answered.
    pub(crate) async fn look(&mut self) -> Option<SalePage> {
        let mut request = Request::get(format!("/v1/sales/{}", self.load.sale));
        request.tag = self.page.as_ref().map(|(_, tag)| tag.clone());
        let answer = self.send(&request).await;
        let seen = match answer.reply.as_ref() {
            Ok(reply) if reply.status == 304 && request.tag.is_some() => self.page.clone(),
            Ok(reply) if reply.status == 200 => serde_json::from_str(&reply.body)
                .ok()
                .map(|page: SalePage| (page, reply.tag.clone().unwrap_or_default())),
            _ => None,
        };
        self.note_read(LOOK, &answer, seen.is_some());
        if seen.is_some() {
            self.page = seen;
        }
        self.page.as_ref().map(|(page, _)| page.clone())
    }

    /// A request with a token that must be turned down.
    pub(crate) async fn send_bad_token(&mut self, request: &Request) {
        let load = self.load;
        let answer = self.send(request).await;
        let (outcome, class) = match answer.status() {
            Some(401) => (Outcome::Refused, AnswerClass::Decided),
            Some(429) => (Outcome::Limited, AnswerClass::Limited),
            Some(503) => (Outcome::Shed, AnswerClass::Shed),
            None => (Outcome::Unknown, AnswerClass::Unknown),
            Some(_) => (Outcome::Wrong, AnswerClass::Failed),
        };
        self.note(BAD_TOKEN, outcome.name(), &answer, class);
        load.figures().ended(self.buyer.scenario, outcome, load.us(answer.sent + answer.took), answer.took);
        if outcome == Outcome::Wrong {
            let mut history = self.new_history(request.key.clone().unwrap_or_default());
            history.outcome = Some(outcome);
            history.findings.push("an expired or forged token was accepted".to_owned());
            history.log.push(exchange(load, request, &answer));
            self.buyer.history.push(history);
        }
    }

    /// The request that buys with this key, whosever token it has.
    pub(crate) fn reservation(&self, bearer: &str, key: &str) -> Request {
        let path = format!("/v1/sales/{}/reservations", self.load.sale);
        Request::post(path, bearer, serde_json::to_string(&self.buyer.selection).ok()).with_key(key)
    }

    fn new_history(&self, key: String) -> TapHistory {
        let Buyer { sub, scenario, selection, .. } = &*self.buyer;
        TapHistory::new(sub.clone(), key, *scenario, selection.clone())
    }

    /// Keeps of a bot's histories what the proof needs: a limited or shed tap left no trace, and
    /// the other keys name the account.
    pub(crate) fn drop_last_if_uninformative(&mut self) {
        let history = &mut self.buyer.history;
        let is_uninformative = |history: &TapHistory| {
            matches!(history.outcome, Some(Outcome::Limited | Outcome::Shed)) && history.findings.is_empty()
        };
        if history.len() > 1 && history.last().is_some_and(is_uninformative) {
            history.pop();
        }
    }

    /// How long an app waits for its next look: what the server asks for, and a random part less.
    pub(crate) fn poll_pause(&mut self) -> Duration {
        let asked = self.page.as_ref().map_or(POLL_DEFAULT_MS, |(page, _)| page.poll_after_ms.max(1));
        Duration::from_millis(asked).mul_f64(0.5 + self.buyer.rng.f64() / 2.0)
    }

    /// Whether the page shows something of the wanted model.
    pub(crate) fn sees_some_left(&self) -> bool {
        self.page.as_ref().is_some_and(|(page, _)| {
            page.models
                .iter()
                .any(|model| model.id == self.buyer.selection.model && model.availability != "sold_out")
        })
    }

    /// Browses the stores of a city and picks one that has room.
    pub(crate) async fn browse(&mut self) -> Option<String> {
        let city = self.load.catalogue.choose_city(&mut self.buyer.rng);
        let filter = city.map(|city| format!("city={}&", escaped(city))).unwrap_or_default();
        let path = format!("/v1/sales/{}/stores?{filter}available=true&limit=50", self.load.sale);
        let answer = self.send(&Request::get(path)).await;
        let page: Option<StorePage> = answer.json();
        self.note_read(STORES, &answer, page.is_some());
        let stores = page?.stores;
        self.buyer.rng.choice(&stores).map(|store| store.id.clone())
    }

    /// Sends something that may be repeated at will, once.
    async fn send(&mut self, request: &Request) -> Answer {
        let load = self.load;
        let (gateway, deadline) = (self.buyer.number, load.moments.deadline);
        self.caller.send(self.turn.take(), gateway, request, load.timeout, deadline).await
    }

    /// Counts a read, which is a step of its own: it is not tried again.
    fn note_read(&self, name: &'static str, answer: &Answer, seen: bool) {
        let class = answer.reply.as_ref().map_or(AnswerClass::Unknown, |reply| class_of_read(reply, seen));
        let word = match class {
            AnswerClass::Limited => "limited",
            AnswerClass::Shed => "shed",
            _ => "",
        };
        self.note(name, word, answer, class);
        if seen || !self.is_cut_short() {
            self.step_ended(name, if seen { StepEnd::Done } else { StepEnd::Undecided });
        }
    }

    /// Counts a request: for the figures under its name, for goose's report with the word of its answer, too.
    fn note(&self, name: &'static str, word: &str, answer: &Answer, class: AnswerClass) {
        let load = self.load;
        let sent = load.us(answer.sent);
        let counted = self.counted(name);
        match &answer.reply {
            Ok(reply) => load.figures().answered(&counted, sent, answer.took, (reply.status, class)),
            // What the end of the run cut short is neither answered nor lost.
            Err(Lost::NotSent | Lost::CutShort) => self.cut_short(),
            Err(lost) => {
                load.figures().lost(&counted, sent, (answer.took, answer.patience), lost.kind());
                if lost.is_port_exhaustion() {
                    load.gauges.port_exhausted();
                }
            }
        }
        let good = answer.reply.is_ok() && class != AnswerClass::Failed;
        let name = if word.is_empty() { name.to_owned() } else { format!("{name} ({word})") };
        // The session may have ended already when the run is cut short.
        let _ = self.notes.send(GooseRequest::new(name, answer, good));
    }

    /// A reservation with the instants of the exchange that showed it.
    fn stamped(&self, hold: Hold, answer: &Answer) -> Hold {
        let at = |instant| to_the_ms(self.load.clock.at(instant));
        Hold { exchanged: Some((at(answer.sent), at(answer.sent + answer.took))), ..hold }
    }

    /// Counts a step: a request with its retries.
    fn step_ended(&self, name: &'static str, end: StepEnd) {
        self.load.figures().step_ended(&self.counted(name), end);
    }

    /// Under which name a request counts.
    fn counted(&self, name: &'static str) -> Cow<'static, str> {
        if self.buyer.scenario.is_honest() || name == BAD_TOKEN { name.into() } else { by_bots(name).into() }
    }
}

fn exchange(load: &Load, request: &Request, answer: &Answer) -> Exchange {
    Exchange {
        at: to_the_ms(load.clock.at(answer.sent)),
        took_ms: span::ms(answer.took),
        request: request.describe(load.client.gateway(answer.gateway)),
        answer: match &answer.reply {
            Ok(reply) => clip(&format!("{} {}", reply.status, reply.body)),
            Err(lost) => format!("none: {lost}"),
        },
        trace: Some(answer.trace),
        request_id: answer.reply.as_ref().ok().and_then(|reply| reply.request_id.clone()),
    }
}

/// How long to wait before a retry: as long as the gateway asks, or twice as long each
/// time; and a random part of that, lest all that were refused together come back together.
fn pause_before(retry_after: Option<Duration>, attempt: u32, rng: &mut Rng) -> Duration {
    let asked = retry_after.unwrap_or(PAUSE_FIRST * 2_u32.pow(attempt.min(DOUBLINGS_MAX))).min(PAUSE_MAX);
    let jitter_ms_max = u64::try_from(asked.as_millis() / 2).unwrap_or(0).max(JITTER_MS_MIN);
    asked + Duration::from_millis(rng.u64(0..=jitter_ms_max))
}

/// For a query: whatever a name is made of must survive it.
pub(crate) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests;
