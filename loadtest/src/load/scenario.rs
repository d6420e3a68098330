//! Runs the session of each scenario.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::client::tokens::Forger;
use crate::load::buyer::After;
use crate::load::session::{Session, Tap, TapPolicy};
use crate::plan::Start;

/// How often a buyer of `abandon`'s second wave asks again: holds of the first one expire one by one.
const ASKS_AGAIN: u32 = 3;
/// An expired hold's stock is free within a second.
const SOON: Duration = Duration::from_secs(1);
/// How many keys a client of `retry-storm` uses that forgets its keys.
const KEYS_MAX: u32 = 4;
/// Percentage of `soak`'s winners that change their packages.
const AMEND: u32 = 20;

impl Scenario {
    /// Buyers that wait for the opening each hold an open connection, all at once.
    pub(crate) fn waits_for_the_opening(self) -> bool {
        matches!(self, Scenario::Spike | Scenario::RetryStorm)
    }
}

impl Session<'_> {
    /// Runs one buyer's session.
    pub(crate) async fn run(mut self, start: Start) {
        if self.buyer.scenario.waits_for_the_opening() {
            self.get_ready(start).await;
        }
        let Some(intended) = self.begins(start).await else { return };
        match self.buyer.scenario {
            Scenario::Spike => self.spike(start, intended).await,
            Scenario::Crowd => self.crowd(start).await,
            Scenario::Customise => self.customise(intended).await,
            Scenario::Abandon => self.abandon(start, intended).await,
            Scenario::RetryStorm => self.retry_storm(start, intended).await,
            Scenario::Bots => self.bots(intended).await,
            Scenario::Soak => self.soak().await,
            Scenario::Look => _ = self.look().await,
        }
        self.journey_ended(intended);
    }

    /// All buyers hold a warm connection and tap at the opening by the server's clock, or at
    /// `--arrivals` after it. Winners pay, cancel or abandon the hold.
    async fn spike(&mut self, start: Start, intended: Instant) {
        let policy = self.policy();
        self.tap(Tap { intended, at_opening: start.at_us == 0, policy }).await;
        self.settle().await;
    }

    /// A whole day. Buyers arrive before the opening, poll as the server asks, and tap at the
    /// opening; others come later. After "sold out" some retry; winners pay, cancel or let the hold
    /// expire.
    async fn crowd(&mut self, start: Start) {
        self.look().await;
        self.read_time().await;
        let waits = start.at_us < 0;
        let goes_on = if waits { self.polls_until_the_opening().await } else { self.think().await };
        if !goes_on {
            return;
        }
        let intended = if waits { self.opening() } else { self.due };
        let policy = self.policy();
        let mut outcome = self.tap(Tap { intended, at_opening: waits, policy }).await;
        for _ in 0..self.load.profile.crowd.looks_again {
            if outcome != Outcome::SoldOut || !self.sees_something_come_back().await {
                break;
            }
            outcome = self.tap(Tap::at(self.due, TapPolicy::Polite)).await;
        }
        self.settle().await;
    }

    /// Polls the sale as the app does, until the countdown is over; false if the run is over before.
    async fn polls_until_the_opening(&mut self) -> bool {
        loop {
            let next = Instant::now() + self.poll_pause();
            let opening = self.opening();
            if next >= opening {
                return self.rest_until(opening).await;
            }
            if !self.rest_until(next).await {
                return false;
            }
            self.look().await;
        }
    }

    /// Looks once more, after as long as the server asks for.
    async fn sees_something_come_back(&mut self) -> bool {
        let pause = self.poll_pause();
        self.rest(pause).await && self.look().await.is_some() && self.sees_some_left()
    }

    /// Buyers reserve with `accept_partial`, browse the stores of their city, change store and
    /// packages, and pay for the version shown last.
    async fn customise(&mut self, intended: Instant) {
        self.buyer.selection.accept_partial = true;
        let outcome = self.tap(Tap::at(intended, TapPolicy::Polite)).await;
        if !outcome.holds() || !self.think().await {
            return;
        }
        if let Some(store) = self.browse().await {
            if !self.think().await {
                return;
            }
            self.amend(&json!({ "store": store })).await;
        }
        if !self.think().await {
            return;
        }
        self.change_packages().await;
        if self.think().await {
            self.confirm().await;
        }
    }

    async fn change_packages(&mut self) {
        let packages = self.load.catalogue.choose_packages(&self.buyer.selection.model, &mut self.buyer.rng);
        self.amend(&json!({ "packages": packages })).await;
    }

    /// A first wave reserves and neither pays nor cancels; its holds expire. A second wave gets the
    /// returned stock and pays. This needs a short hold, such as a rehearsal's `hold = "20s"`.
    async fn abandon(&mut self, start: Start, intended: Instant) {
        let mut outcome = self.tap(Tap::at(intended, TapPolicy::Polite)).await;
        if start.at_us < self.load.second_wave_us {
            return;
        }
        for _ in 0..ASKS_AGAIN {
            if outcome != Outcome::SoldOut || !self.rest(SOON).await {
                break;
            }
            outcome = self.tap(Tap::at(self.due, TapPolicy::Polite)).await;
        }
        if outcome.holds() && self.think().await {
            self.confirm().await;
        }
    }

    /// Clients give up after 300 ms and retry at once with the same key; some take a new key, like
    /// an app that lost it. A slower gateway gets more of them.
    async fn retry_storm(&mut self, start: Start, intended: Instant) {
        let storm = &self.load.profile.retry_storm;
        let policy = TapPolicy::Impatient { patience: storm.patience.0, new_key: storm.new_key };
        let mut outcome = self.tap(Tap { intended, at_opening: start.at_us == 0, policy }).await;
        for _ in 1..KEYS_MAX {
            if outcome != Outcome::Unknown || self.load.is_over() {
                break;
            }
            outcome = self.tap(Tap::at(Instant::now(), policy)).await;
        }
        self.settle().await;
    }

    /// Few accounts on many connections, without pauses and with a new key for every tap. Some
    /// requests carry expired or forged tokens. Thresholds count bots only by name; their wins are
    /// proved like any other.
    async fn bots(&mut self, begins: Instant) {
        let load = self.load;
        let bots = &load.profile.bots;
        while Instant::now() < begins + bots.lasts.0 && !load.is_over() {
            let roll = self.buyer.rng.u32(0..100);
            if roll < bots.stale + bots.forged {
                let bearer = if roll < bots.stale {
                    load.forger.stale(&self.buyer.sub)
                } else {
                    Forger::forged(&self.buyer.bearer, &mut self.buyer.rng)
                };
                let key = self.buyer.new_key();
                self.send_bad_token(&self.reservation(&bearer, &key)).await;
            } else {
                self.tap(Tap::at(Instant::now(), TapPolicy::Once)).await;
                self.drop_last_if_uninformative();
            }
        }
    }

    /// A steady mix for hours. Some buyers amend; winners pay and are refunded later, cancel, or let
    /// the hold expire. Stock returns as fast as it sells, so the last hour equals the first.
    async fn soak(&mut self) {
        self.look().await;
        let policy = self.policy();
        let outcome = self.tap(Tap::at(self.due, policy)).await;
        if !outcome.holds() || !self.think().await {
            return;
        }
        if self.buyer.rng.u32(0..100) < AMEND {
            self.change_packages().await;
        }
        match self.buyer.after {
            After::Confirm => {
                self.confirm().await;
                if self.think().await {
                    self.cancel(true).await;
                }
            }
            After::Cancel => self.cancel(false).await,
            After::Abandon => {}
        }
    }
}
