//! Runs what buyers do who sign up, enter a draw, or wait in a queue.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::json;

use crate::base::outcome::Outcome;
use crate::base::requests::{DRAW, JOIN, LEAVE, MY_PLACE, MY_RESERVATION, MY_SIGN_UP, SIGN_UP, WITHDRAW};
use crate::client::{Answer, Lost, Reply, Request};
use crate::load::answer::{Refusal, is_none, to_wait};
use crate::load::history::waiting::{Join, ShownDraw, ShownPlace, ShownSignUp, SignUp, SignUpLook, Waiting};
use crate::load::history::{Hold, Step, TapHistory};
use crate::load::session::Session;
use crate::load::session::record::exchange;
use crate::load::session::settle::Ended;
use crate::plan::selection::Choice;

/// What became of a buyer who waited for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnEnd {
    /// There is a hold.
    Holds,
    /// The buyer waits in a queue.
    Waits,
    /// Neither.
    Nothing,
}

const SIGN_UP_REFUSALS: [Refusal; 3] =
    [(409, "signup-not-open"), (410, "signup-closed"), (422, "unknown-item")];
const JOIN_REFUSALS: [Refusal; 8] = [
    (422, "unknown-item"),
    (403, "not-signed-up"),
    (409, "not-sold-out"),
    (409, "standby-full"),
    (409, "purchase-limit"),
    (409, "sale-not-open"),
    (409, "sale-paused"),
    (410, "sale-closed"),
];

impl Session {
    /// The place of the history of sign-up and queue.
    fn place_of_waiting(&mut self) -> usize {
        if let Some(place) = self.waiting {
            return place;
        }
        let key = self.buyer.new_key();
        let history = TapHistory { waiting: Some(Box::default()), ..self.new_history(key) };
        self.buyer.history.push(history);
        *self.waiting.insert(self.buyer.history.len() - 1)
    }

    /// Notes something in that history.
    fn note<T: Default>(&mut self, note: impl FnOnce(&mut Waiting) -> T) -> T {
        let place = self.place_of_waiting();
        let history = self.buyer.history.get_mut(place);
        history.and_then(|history| history.waiting.as_mut()).map(|waiting| note(waiting)).unwrap_or_default()
    }

    /// Notes a look, with its exchange if it shows something new.
    fn note_look(&mut self, (request, answer): (&Request, &Answer), see: impl FnOnce(&mut Waiting) -> bool) {
        if self.note(see) {
            let (place, exchange) = (self.place_of_waiting(), exchange(&self.load, request, answer));
            self.buyer.history[place].log.push(exchange);
        }
    }

    fn waits(&self) -> Option<&Waiting> {
        self.buyer.history.get(self.waiting?)?.waiting.as_deref()
    }

    fn path_of_sale(&self, of: &str) -> String {
        format!("/v1/sales/{}/{of}", self.load.sale)
    }

    /// A request of that history; what the contract has of refusals is in `allowed`.
    async fn do_waiting(
        &mut self,
        request: &Request,
        name: &'static str,
        allowed: &[Refusal],
    ) -> (Step, Option<Answer>) {
        let place = self.place_of_waiting();
        let done: &[u16] = if matches!(name, WITHDRAW | LEAVE) { &[204] } else { &[200, 201] };
        let what = format!("a request named {name}");
        let read = |reply: &Result<Reply, Lost>| to_wait(reply, done, allowed, &what);
        let Ended { step, last, .. } = self.retry_until_answered(place, request, name, read).await;
        (step, last.map(|(answer, _)| answer))
    }

    /// Signs up with these choices, or changes them.
    pub(crate) async fn sign_up(&mut self, choices: Vec<Choice>) {
        let body = json!({ "choices": choices }).to_string();
        let request = Request::put(self.path_of_sale("signup"), &self.buyer.bearer, body);
        let (step, answer) = self.do_waiting(&request, SIGN_UP, &SIGN_UP_REFUSALS).await;
        let exchanged = answer.as_ref().map(|answer| self.load.exchanged(answer));
        let reply = answer.and_then(|answer| answer.reply.ok()).filter(|_| step == Step::Done);
        let is_new = reply.as_ref().is_some_and(|reply| reply.status == 201);
        let shown: Option<ShownSignUp> = reply.and_then(|reply| serde_json::from_str(&reply.body).ok());
        self.find_unless(step != Step::Done || shown.is_some(), "a sign-up without a readable answer");
        self.note(|waiting| {
            waiting.sign_ups.push(SignUp { choices: Some(choices), step, shown, is_new, exchanged });
        });
    }

    /// The choices of the next sign-up.
    pub(crate) fn choose(&mut self) -> Vec<Choice> {
        self.load.catalogue.choose_for_draw(&mut self.buyer.rng)
    }

    /// Withdraws the sign-up.
    pub(crate) async fn withdraw(&mut self) {
        let request = Request::delete(self.path_of_sale("signup"), &self.buyer.bearer);
        let (step, answer) = self.do_waiting(&request, WITHDRAW, &SIGN_UP_REFUSALS).await;
        let exchanged = answer.as_ref().map(|answer| self.load.exchanged(answer));
        self.note(|waiting| {
            waiting.sign_ups.push(SignUp { choices: None, step, shown: None, is_new: false, exchanged })
        });
    }

    /// Looks at the sign-up.
    pub(crate) async fn look_at_sign_up(&mut self) -> Option<ShownSignUp> {
        let request = Request::get_as(self.path_of_sale("signup"), &self.buyer.bearer);
        let (shown, answer) =
            self.look_at_own::<ShownSignUp>(MY_SIGN_UP, &request, "signup-not-found").await?;
        let look = SignUpLook { shown: shown.clone(), exchanged: self.load.exchanged(&answer) };
        self.note_look((&request, &answer), |waiting| waiting.see_sign_up(look));
        Some(shown)
    }

    /// Looks at the place.
    pub(crate) async fn look_at_place(&mut self) -> Option<ShownPlace> {
        let request = Request::get_as(self.path_of_sale("standby"), &self.buyer.bearer);
        let (shown, answer) = self.look_at_own::<ShownPlace>(MY_PLACE, &request, "standby-not-found").await?;
        let exchanged = Some(self.load.exchanged(&answer));
        let shown = ShownPlace { exchanged, ..shown };
        let look = shown.clone();
        self.note_look((&request, &answer), |waiting| waiting.see_place(look));
        Some(shown)
    }

    /// Reads what is the buyer's own; none of it is a good answer, too.
    async fn look_at_own<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        request: &Request,
        none: &str,
    ) -> Option<(T, Answer)> {
        let answer = self.send(request).await;
        let shown: Option<T> = answer.json();
        let is_seen = shown.is_some() || answer.reply.as_ref().is_ok_and(|reply| is_none(reply, none));
        self.record_read(name, request, &answer, is_seen);
        shown.map(|shown| (shown, answer))
    }

    /// Takes over the reservation that a draw or a grant has made.
    async fn take_over(&mut self, id: &str) -> bool {
        let request = Request::get_as(self.path_of_sale(&format!("reservations/{id}")), &self.buyer.bearer);
        let Some((hold, answer)) = self.look_at_own::<Hold>(MY_RESERVATION, &request, "").await else {
            return false;
        };
        let (hold, exchange) = (self.stamped(hold, &answer), exchange(&self.load, &request, &answer));
        let place = self.place_of_waiting();
        let Some(history) = self.buyer.history.get_mut(place) else { return false };
        let wanted = history.waiting.iter().flat_map(|waiting| waiting.wanted());
        if let Some(choice) = wanted.into_iter().find(|choice| choice.model == hold.model) {
            history.selection = choice.selection();
        }
        history.log.push(exchange);
        history.holds.push(hold);
        true
    }

    fn find_unless(&mut self, is_right: bool, finding: &str) {
        let place = self.place_of_waiting();
        if let Some(history) = self.buyer.history.get_mut(place).filter(|_| !is_right) {
            history.findings.push(finding.to_owned());
        }
    }

    /// Waits for the end of the allocation, as the server asks, and takes what it brought.
    pub(crate) async fn wait_for_draw(&mut self) -> TurnEnd {
        loop {
            let request = Request::get(self.path_of_sale("draw"));
            let answer = self.send(&request).await;
            let shown: Option<ShownDraw> = answer.json();
            self.record_read(DRAW, &request, &answer, shown.is_some());
            if let Some(shown) = shown {
                let is_over = shown.stage == "allocated";
                self.note_look((&request, &answer), |waiting| waiting.see_draw(shown));
                if is_over {
                    break;
                }
            }
            // The page says how often to ask.
            self.look().await;
            if !self.poll_again().await {
                return TurnEnd::Nothing;
            }
        }
        loop {
            match self.look_at_sign_up().await {
                Some(ShownSignUp { reservation: Some(id), .. }) if self.take_over(&id).await => {
                    return TurnEnd::Holds;
                }
                Some(ShownSignUp { rank: Some(_), reservation: None, .. }) => return TurnEnd::Waits,
                // The answer was lost, or a gateway that has just started ranks first.
                _ => {}
            }
            if !self.poll_again().await {
                return TurnEnd::Nothing;
            }
        }
    }

    async fn poll_again(&mut self) -> bool {
        let pause = self.poll_pause();
        self.rest(pause).await
    }

    /// Joins the queue of what the latest tap asked for; whether the buyer waits there.
    pub(crate) async fn join(&mut self) -> bool {
        let selection = self.buyer.selection.clone();
        let wants = Choice { model: selection.model, packages: selection.packages, store: selection.store };
        let body = json!(wants).to_string();
        let request = Request::put(self.path_of_sale("standby"), &self.buyer.bearer, body);
        let (step, answer) = self.do_waiting(&request, JOIN, &JOIN_REFUSALS).await;
        let exchanged = answer.as_ref().map(|answer| self.load.exchanged(answer));
        let reply = answer.and_then(|answer| answer.reply.ok()).filter(|_| step == Step::Done);
        let shown: Option<ShownPlace> = reply.and_then(|reply| serde_json::from_str(&reply.body).ok());
        self.find_unless(step != Step::Done || shown.is_some(), "a place without a readable answer");
        let is_in = shown.as_ref().is_some_and(|shown| shown.state == "waiting");
        let shown = shown.map(|shown| ShownPlace { exchanged, ..shown });
        self.note(|waiting| waiting.joins.push(Join { wants: Some(wants), step, shown, exchanged }));
        is_in
    }

    /// Waits in the queue for so long, as the server asks, and takes what is granted; who gives up leaves.
    pub(crate) async fn wait_in_queue(&mut self, patience: Duration) -> TurnEnd {
        let until = Instant::now() + patience;
        loop {
            match self.look_at_place().await {
                Some(ShownPlace { reservation: Some(id), .. }) if self.take_over(&id).await => {
                    return TurnEnd::Holds;
                }
                Some(ShownPlace { state, .. }) if state == "skipped" || state == "ended" => {
                    return TurnEnd::Nothing;
                }
                // The answer was lost, or there is no place: the queue was full.
                _ => {}
            }
            self.look().await;
            if Instant::now() >= until {
                self.leave_queue().await;
                return TurnEnd::Nothing;
            }
            if !self.poll_again().await {
                return TurnEnd::Waits;
            }
        }
    }

    async fn leave_queue(&mut self) {
        let request = Request::delete(self.path_of_sale("standby"), &self.buyer.bearer);
        let (step, answer) = self.do_waiting(&request, LEAVE, &[]).await;
        let exchanged = answer.as_ref().map(|answer| self.load.exchanged(answer));
        self.note(|waiting| waiting.joins.push(Join { wants: None, step, shown: None, exchanged }));
    }

    /// Whether the latest tap was refused as sold out.
    pub(crate) fn is_refused_as_sold_out(&self) -> bool {
        self.buyer.history.last().is_some_and(|history| history.outcome == Some(Outcome::SoldOut))
    }

    /// Whether the page says that buyers can wait for what is sold out.
    pub(crate) fn may_queue(&self) -> bool {
        self.page.as_ref().is_some_and(|(page, _)| page.standby)
    }

    /// Whether the buyer has signed up, and not withdrawn since, as far as is known.
    pub(crate) fn is_signed_up(&self) -> bool {
        let last = self.waits().and_then(|waiting| waiting.sign_ups.last());
        last.is_some_and(|last| last.choices.is_some() && last.step == Step::Done)
    }
}
