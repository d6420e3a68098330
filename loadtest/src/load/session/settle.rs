//! Runs what follows a win: pay, cancel, amend or abandon.

use crate::base::outcome::StepEnd;
use crate::base::requests::{AMEND, CANCEL, CONFIRM};
use crate::client::{Answer, Lost, Reply, Request};
use crate::load::answer::{AnswerReading, Expect, to_change};
use crate::load::buyer::After;
use crate::load::history::{Amend, Hold, Step, TapHistory};
use crate::load::refused::refused_change;
use crate::load::session::record::exchange;
use crate::load::session::{Session, pause_before};

impl Session {
    /// Whether the buyer has a hold, as far as he was shown.
    pub(crate) fn holds(&self) -> bool {
        self.hold().is_some()
    }

    /// Whether the buyer pays, cancels or does neither.
    pub(crate) fn intent(&self) -> After {
        self.buyer.after
    }

    /// The place of the latest tap that was shown a hold: a later one may have been refused.
    fn place_of_hold(&self) -> Option<usize> {
        self.buyer.history.iter().rposition(|history| !history.holds.is_empty())
    }

    /// What follows the latest win is added to its history.
    fn winner(&self) -> Option<&TapHistory> {
        self.buyer.history.get(self.place_of_hold()?)
    }

    /// The last shown hold that the buyer believes alive.
    fn hold(&self) -> Option<Hold> {
        let history = self.winner()?;
        let amended = history.amends.iter().rev().find_map(|amend| amend.shown.clone());
        amended.or_else(|| history.holds.last().cloned()).filter(|hold| hold.state == "held")
    }

    /// The payment service confirms what the buyer has paid for.
    pub(crate) async fn confirm(&mut self) {
        let (Some(hold), Some(service)) = (self.hold(), self.load.tokens.service.clone()) else { return };
        let payment = self.winner().map(|history| history.payment.clone()).unwrap_or_default();
        let body = serde_json::json!({"payment": payment, "version": hold.version}).to_string();
        let request = Request::post(format!("{}/confirm", self.path_of(&hold)), &service, Some(body));
        let (step, shown) = self.change(&request, CONFIRM, Expect::State("confirmed")).await;
        self.change_winner(|history| {
            history.confirm = step;
            history.settled.extend(shown);
        });
    }

    /// The buyer cancels, or the order service refunds.
    pub(crate) async fn cancel(&mut self, as_service: bool) {
        let Some(hold) = self.winner().and_then(|history| history.holds.last().cloned()) else { return };
        let bearer = match (as_service, &self.load.tokens.service) {
            (true, Some(service)) => service.clone(),
            (true, None) => return,
            (false, _) => self.buyer.bearer.clone(),
        };
        let request = Request::post(format!("{}/cancel", self.path_of(&hold)), &bearer, None);
        let (step, shown) = self.change(&request, CANCEL, Expect::State("cancelled")).await;
        self.change_winner(|history| {
            history.cancel = step;
            history.settled.extend(shown);
        });
    }

    /// The buyer changes the selection.
    pub(crate) async fn amend(&mut self, change: &serde_json::Value) {
        let Some(hold) = self.hold() else { return };
        let request = Request::patch(self.path_of(&hold), &self.buyer.bearer, change.to_string());
        let (step, shown) = self.change(&request, AMEND, Expect::Amended).await;
        // A body that can't be read is refused, so nothing can be missing in the answer.
        let wanted = serde_json::from_value(change.clone()).unwrap_or_default();
        self.change_winner(|history| {
            history.amends.push(Amend { reservation: hold.id, wanted, step, shown })
        });
    }

    /// The buyer changes to other packages of the model.
    pub(crate) async fn change_packages(&mut self) {
        let packages = self.load.catalogue.choose_packages(&self.buyer.selection.model, &mut self.buyer.rng);
        self.amend(&serde_json::json!({ "packages": packages })).await;
    }

    fn path_of(&self, hold: &Hold) -> String {
        format!("/v1/sales/{}/reservations/{}", self.load.sale, hold.id)
    }

    fn change_winner(&mut self, change: impl FnOnce(&mut TapHistory)) {
        if let Some(history) = self.place_of_hold().and_then(|place| self.buyer.history.get_mut(place)) {
            change(history);
        }
    }

    /// Changes the reservation of the latest win.
    async fn change(
        &mut self,
        request: &Request,
        name: &'static str,
        expect: Expect,
    ) -> (Step, Option<Hold>) {
        let Some(place) = self.place_of_hold() else { return (Step::NotTried, None) };
        let read = |reply: &Result<Reply, Lost>| to_change(reply, expect);
        let Ended { step, last, after_lost } = self.retry_until_answered(place, request, name, read).await;
        let Some((answer, reading)) = last else { return (step, None) };
        if let Some(refused) = refused_change(&self.load, (name, request), &answer, &reading, after_lost) {
            self.change_winner(|history| history.refuse(refused));
        }
        (step, reading.hold.map(|hold| self.stamped(hold, &answer)))
    }

    /// Sends a request that does something until there is an answer that counts; all goes into the history at this place.
    pub(super) async fn retry_until_answered(
        &mut self,
        place: usize,
        request: &Request,
        name: &'static str,
        read: impl Fn(&Result<Reply, Lost>) -> AnswerReading<Step>,
    ) -> Ended {
        let mut step = Step::NotTried;
        for attempt in 0..self.load.tries {
            let gateway = self.buyer.number + attempt as usize;
            let (timeout, deadline) = (self.load.timeout, self.load.moments.deadline);
            let answer = self.caller.send(self.turn.take(), gateway, request, timeout, deadline).await;
            let mut reading = read(&answer.reply);
            self.record((name, reading.word), request, &answer, reading.class);
            let exchange = exchange(&self.load, request, &answer);
            if let Some(history) = self.buyer.history.get_mut(place) {
                history.log.push(exchange);
                history.findings.append(&mut reading.findings);
            }
            // After an answer that was lost, a refusal may be what our own request brought about, and a shed retry does
            // not decide the earlier try.
            let after_lost = step == Step::Unknown;
            if !after_lost || !matches!(reading.result, Step::Refused(_)) {
                step = reading.result.clone();
            }
            if reading.ends {
                self.step_ended(name, step.end());
                return Ended { step, last: Some((answer, reading)), after_lost };
            }
            let pause = pause_before(reading.retry_after, attempt, &mut self.buyer.rng);
            if attempt + 1 == self.load.tries || !self.pause(pause).await {
                break;
            }
            self.load.figures().retries += 1;
        }
        if !self.is_cut_short() {
            self.step_ended(name, StepEnd::Undecided);
        }
        Ended { step, last: None, after_lost: false }
    }
}

/// How a request ended that was sent until there was an answer that counts.
pub(super) struct Ended {
    pub(super) step: Step,
    /// The answer that ended it.
    pub(super) last: Option<(Answer, AnswerReading<Step>)>,
    /// An earlier try has no answer.
    pub(super) after_lost: bool,
}
