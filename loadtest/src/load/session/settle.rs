//! Runs what follows a win: pay, cancel, amend or abandon.

use crate::base::outcome::StepEnd;
use crate::base::requests::{AMEND, CANCEL, CONFIRM};
use crate::client::Request;
use crate::load::answer::{Expect, to_change};
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
        let (step, shown) = self.retry_until_answered(&request, CONFIRM, Expect::State("confirmed")).await;
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
        let (step, shown) = self.retry_until_answered(&request, CANCEL, Expect::State("cancelled")).await;
        self.change_winner(|history| {
            history.cancel = step;
            history.settled.extend(shown);
        });
    }

    /// The buyer changes the selection.
    pub(crate) async fn amend(&mut self, change: &serde_json::Value) {
        let Some(hold) = self.hold() else { return };
        let request = Request::patch(self.path_of(&hold), &self.buyer.bearer, change.to_string());
        let (step, shown) = self.retry_until_answered(&request, AMEND, Expect::Amended).await;
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

    /// Sends a confirm, a cancel or an amendment until there is an answer that counts.
    async fn retry_until_answered(
        &mut self,
        request: &Request,
        name: &'static str,
        expect: Expect,
    ) -> (Step, Option<Hold>) {
        let mut ending = Step::NotTried;
        for attempt in 0..self.load.tries {
            let gateway = self.buyer.number + attempt as usize;
            let (timeout, deadline) = (self.load.timeout, self.load.moments.deadline);
            let answer = self.caller.send(None, gateway, request, timeout, deadline).await;
            let reading = to_change(&answer.reply, expect);
            self.record((name, reading.word), request, &answer, reading.class);
            let exchange = exchange(&self.load, request, &answer);
            let refused =
                refused_change(&self.load, (name, request), &answer, &reading, ending == Step::Unknown);
            self.change_winner(|history| {
                refused.into_iter().for_each(|refused| history.refuse(refused));
                history.log.push(exchange);
                history.findings.extend(reading.findings);
            });
            // After an answer that was lost, "not held" may be what our own request brought about, and a shed
            // retry does not decide the earlier try.
            if ending != Step::Unknown || !matches!(reading.result, Step::Refused(_)) {
                ending = reading.result;
            }
            if reading.ends {
                self.step_ended(name, ending.end());
                return (ending, reading.hold.map(|hold| self.stamped(hold, &answer)));
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
        (ending, None)
    }
}
