//! Runs one buyer's session: its waits, its pauses and its journey. `session/read.rs` has what it reads, `session/tap.rs`
//! the tap, `session/wait.rs` sign-ups and queues, `session/settle.rs` what winners do, `session/record.rs` what is
//! counted of all of it.

mod bad_token;
mod read;
mod record;
mod settle;
mod tap;
mod wait;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use jiff::SignedDuration;
use tokio::time::sleep;

use crate::base::clock::after;
use crate::base::scenario::Arrive;
use crate::client::{Answer, Caller, Request, Turn};
use crate::load::Load;
use crate::load::buyer::Buyer;
use crate::load::goose_request::GooseRequest;
use crate::load::history::TapHistory;
use crate::plan::Start;

pub use read::SalePage;
pub(crate) use read::{PublicTime, escaped};
pub(crate) use tap::TapPolicy;
pub use wait::TurnEnd;

/// A buyer's way through a scenario.
pub(crate) struct Session {
    pub(crate) load: Arc<Load>,
    pub(crate) buyer: Buyer,
    start: Start,
    /// For so long all users were busy with buyers that wait for the server.
    overdue: Duration,
    caller: Caller,
    /// Each request, for goose's report; two taps of one buyer add to it at once.
    requests: Mutex<Vec<GooseRequest>>,
    /// The first request of the session may be sent.
    turn: Option<Turn>,
    /// The history of a buyer who signs up or waits.
    waiting: Option<usize>,
    /// The sale's page as last seen, and its tag.
    page: Option<(SalePage, Option<String>)>,
    /// When the journey was to begin; `None`: it has not begun.
    intended: Option<Instant>,
    /// When the next step is due: at the intended start, and after each pause of the buyer. A wait for answers since
    /// then is part of what the buyer waited.
    pub(crate) due: Instant,
    /// The next tap is meant for the opening itself: when it leaves is part of the skew.
    is_for_opening: bool,
    /// How long the buyer has paused so far.
    paused: Duration,
    /// When the last step ended.
    pub(crate) ended: Instant,
    /// The buyer has left before the end of the scenario.
    has_left: bool,
    /// When the latest read was answered: a start that waited for it waited for the server.
    answered: Option<Instant>,
    /// The end of the run cut something short.
    is_cut_short: AtomicBool,
}

/// More of this process's cores in use than this leave its users waiting for each other.
const CPU_BUSY: f64 = 0.8;
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

impl Session {
    /// The session of the buyer of this start.
    pub(crate) fn new(load: &Arc<Load>, start: Start, overdue: Duration) -> Session {
        Session {
            load: Arc::clone(load),
            caller: load.client.caller(start.person.number, start.person.scenario),
            buyer: load.buyer(start.person),
            start,
            overdue,
            requests: Mutex::default(),
            turn: None,
            waiting: None,
            page: None,
            intended: None,
            due: Instant::now(),
            is_for_opening: false,
            paused: Duration::ZERO,
            ended: Instant::now(),
            has_left: false,
            answered: None,
            is_cut_short: AtomicBool::new(false),
        }
    }

    /// The opening, or the start in its place, by the buyer's estimate of the server's clock plus
    /// its error: a tap before the server's opening is refused.
    fn opening(&self) -> Instant {
        match (self.load.opens_at, self.buyer.clock()) {
            (Some(opens_at), Some(clock)) => clock.instant_of(opens_at) + clock.error,
            _ => self.load.moments.opening,
        }
    }

    /// So many µs after the opening, by this buyer's estimate of the server's clock.
    fn instant(&self, at_us: i64) -> Instant {
        after(self.opening(), SignedDuration::from_micros(at_us))
    }

    /// Whether the buyer belongs to the wave that waits for returned stock.
    pub(crate) fn is_of_second_wave(&self) -> bool {
        self.start.at_us >= self.load.second_wave_us
    }

    /// For how long the journey has gone on.
    pub(crate) fn since_start(&self) -> Duration {
        self.intended.map_or(Duration::ZERO, |intended| intended.elapsed())
    }

    /// Waits for an instant; false if the run is over before.
    async fn until(&self, instant: Instant) -> bool {
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
    async fn pause(&self, pause: Duration) -> bool {
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

    pub(crate) fn is_cut_short(&self) -> bool {
        self.is_cut_short.load(Relaxed) || self.load.is_over()
    }

    /// The buyer goes: what is left of the scenario is not played.
    pub(crate) fn leave(&mut self) {
        self.has_left = true;
    }

    /// Whether the buyer does what comes next in the scenario.
    pub(crate) fn goes_on(&self) -> bool {
        !self.has_left && !self.is_cut_short()
    }

    /// A buyer who pauses needs no connection meanwhile, and does not tap at the opening.
    fn let_go(&mut self) {
        self.turn = None;
        self.is_for_opening = false;
    }

    /// Pauses for the buyer; a pause is not counted as waiting. False if the run is over before.
    pub(crate) async fn rest(&mut self, pause: Duration) -> bool {
        self.let_go();
        (self.due, self.paused) = (Instant::now() + pause, self.paused + pause);
        self.pause(pause).await
    }

    /// Pauses for the buyer until an instant; false if the run is over before.
    pub(crate) async fn rest_until(&mut self, instant: Instant) -> bool {
        self.let_go();
        self.paused += instant.saturating_duration_since(Instant::now());
        self.due = instant;
        let is_there = self.until(instant).await;
        if !is_there {
            self.cut_short();
        }
        is_there
    }

    /// Pauses until so many µs after the opening, or not at all.
    pub(crate) async fn rest_until_after_opening(&mut self, at_us: i64) -> bool {
        self.rest_until(self.instant(at_us)).await
    }

    /// Pauses for a think time of the profile.
    pub(crate) async fn think(&mut self) -> bool {
        let pause = self.buyer.think(&self.load.profile.buyers);
        self.rest(pause).await
    }

    /// Waits for the intended start; false if the run ends before. The first request follows at once: a wait for a
    /// connection counts as lateness.
    pub(crate) async fn begin(&mut self) -> bool {
        let at_us = self.start.at_us;
        let intended = self.instant(at_us);
        if !self.until(intended).await {
            self.load.figures().unsent(at_us);
            return false;
        }
        (self.intended, self.due, self.paused) = (Some(intended), intended, Duration::ZERO);
        self.is_for_opening = at_us == 0 && self.buyer.scenario.arrive() == Arrive::AtOpening;
        self.turn = self.caller.turn().await;
        let now = Instant::now();
        let late_after = self.load.profile.generator.late;
        let stalled = self.server_wait(intended, now);
        let load = &self.load;
        load.figures().started(load.us(intended), load.us(now), stalled, late_after);
        true
    }

    /// For how much of the time between these instants the server kept this session from starting.
    fn server_wait(&self, intended: Instant, started: Instant) -> Duration {
        let answer = self.answered.map_or(Duration::ZERO, |at| at.saturating_duration_since(intended));
        let stalled = self.load.client.traffic.stalled_between(intended, started);
        // Where this process had no CPU left, its users were busy with that.
        let is_starved = || self.load.gauges.now().cpu_ratio > CPU_BUSY;
        let overdue =
            Some(self.overdue).filter(|overdue| !overdue.is_zero() && !is_starved()).unwrap_or_default();
        answer.max(overdue).max(stalled)
    }

    /// Prepares like a waiting app: reads the sale at its own moment, synchronises the clock, and
    /// again when all do, so that each tap has a connection. Later buyers do not prepare.
    pub(crate) async fn prepare(&mut self) {
        if !self.start.is_ready() {
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

    /// Polls the sale as the app does, until the countdown is over. False if the buyer came later, or the run is over before.
    pub(crate) async fn wait_for_opening(&mut self) -> bool {
        if self.start.at_us >= 0 {
            return false;
        }
        loop {
            let next = Instant::now() + self.poll_pause();
            let opening = self.opening();
            if next >= opening {
                self.is_for_opening = self.rest_until(opening).await;
                return self.is_for_opening;
            }
            if !self.rest_until(next).await {
                return false;
            }
            self.look().await;
        }
    }

    /// Sends something that may be repeated at will, once.
    async fn send(&mut self, request: &Request) -> Answer {
        let load = &self.load;
        let (gateway, deadline) = (self.buyer.number, load.moments.deadline);
        let answer = self.caller.send(self.turn.take(), gateway, request, load.timeout, deadline).await;
        self.answered = Some(Instant::now());
        answer
    }

    fn new_history(&self, key: String) -> TapHistory {
        let Buyer { sub, scenario, selection, .. } = &self.buyer;
        TapHistory::new(sub.clone(), key, *scenario, selection.clone())
    }
}

/// Whatever ends a session, the proof has its histories.
impl Drop for Session {
    fn drop(&mut self) {
        if let Some(intended) =
            self.intended.filter(|_| self.buyer.scenario.is_honest() && !self.is_cut_short())
        {
            // From the intended start, without the buyer's pauses.
            let took = self.ended.saturating_duration_since(intended).saturating_sub(self.paused);
            self.load.figures().journey_ended(self.buyer.scenario, self.load.us(intended), took);
        }
        self.load.keep(std::mem::take(&mut self.buyer.history));
    }
}

/// How long to wait before a retry: as long as the gateway asks, or twice as long each
/// time; and a random part of that, lest all that were refused together come back together.
fn pause_before(retry_after: Option<Duration>, attempt: u32, rng: &mut Rng) -> Duration {
    let asked = retry_after.unwrap_or(PAUSE_FIRST * 2_u32.pow(attempt.min(DOUBLINGS_MAX))).min(PAUSE_MAX);
    let jitter_ms_max = u64::try_from(asked.as_millis() / 2).unwrap_or(0).max(JITTER_MS_MIN);
    asked + Duration::from_millis(rng.u64(0..=jitter_ms_max))
}

#[cfg(test)]
mod tests;
