//! What follows a win: pay, cancel, change one's mind, walk away.

use crate::client::Request;
use crate::load::answer::{Change, Expect, Reading, to_change};
use crate::load::buyer::After;
use crate::load::told::{Amend, Hold, Step, Told};
use crate::load::walk::{Walk, exchange, pause_before};

impl Walk<'_> {
    /// The hold that he was shown last, as far as he knows still to be had.
    fn hold(&self) -> Option<Hold> {
        let told = self.buyer.told.last()?;
        let amended = told.amends.iter().rev().find_map(|amend| amend.shown.clone());
        amended.or_else(|| told.holds.last().cloned()).filter(|hold| hold.state == "held")
    }

    /// What winners do: pay, cancel or walk away.
    pub(crate) async fn settle(&mut self) {
        if self.hold().is_none() || self.buyer.after == After::Abandon || !self.think().await {
            return;
        }
        match self.buyer.after {
            After::Confirm => self.confirm().await,
            After::Cancel => self.cancel(false).await,
            After::Abandon => {}
        }
    }

    /// The payment service confirms what he has paid for.
    pub(crate) async fn confirm(&mut self) {
        let (Some(hold), Some(service)) = (self.hold(), self.load.service.clone()) else { return };
        let payment = self.buyer.told.last().map(|told| told.payment.clone()).unwrap_or_default();
        let body = serde_json::json!({"payment": payment, "version": hold.version}).to_string();
        let request = Request::post(format!("{}/confirm", self.path_of(&hold)), &service, Some(body));
        let (step, _) = self.insist(&request, "confirm", Expect::State("confirmed")).await;
        self.last(|told| told.confirm = step);
    }

    /// He cancels, or the order service gives him his money back.
    pub(crate) async fn cancel(&mut self, as_service: bool) {
        let Some(hold) = self.buyer.told.last().and_then(|told| told.holds.last().cloned()) else { return };
        let bearer = match (as_service, &self.load.service) {
            (true, Some(service)) => service.clone(),
            (true, None) => return,
            (false, _) => self.buyer.bearer.clone(),
        };
        let request = Request::post(format!("{}/cancel", self.path_of(&hold)), &bearer, None);
        let (step, _) = self.insist(&request, "cancel", Expect::State("cancelled")).await;
        self.last(|told| told.cancel = step);
    }

    /// He changes his mind; true if he now has what he changed it to.
    pub(crate) async fn amend(&mut self, change: &serde_json::Value) -> bool {
        let Some(hold) = self.hold() else { return false };
        let request = Request::patch(self.path_of(&hold), &self.buyer.bearer, change.to_string());
        let (step, shown) = self.insist(&request, "amend", Expect::Amended).await;
        let done = step == Step::Done;
        self.last(|told| told.amends.push(Amend { reservation: hold.id, step, shown }));
        done
    }

    fn path_of(&self, hold: &Hold) -> String {
        format!("/v1/sales/{}/reservations/{}", self.load.sale, hold.id)
    }

    fn last(&mut self, change: impl FnOnce(&mut Told)) {
        if let Some(told) = self.buyer.told.last_mut() {
            change(told);
        }
    }

    /// Sends a confirm, a cancel or an amendment until there is an answer that counts.
    async fn insist(
        &mut self,
        request: &Request,
        name: &'static str,
        expect: Expect,
    ) -> (Step, Option<Hold>) {
        let mut ending = Step::NotTried;
        for attempt in 0..self.load.tries {
            let gateway = self.buyer.number + attempt as usize;
            let answer =
                self.load.client.send(gateway, request, self.load.timeout, self.load.moments.deadline).await;
            let Reading { decision, word, retry_after, complaints } = to_change(&answer.reply, expect);
            let good = complaints.is_empty() && answer.reply.is_ok();
            self.note(name, &format!(" ({word})"), &answer, good);
            let exchange = exchange(self.load, gateway, request, &answer);
            self.last(|told| {
                told.history.push(exchange);
                told.complaints.extend(complaints);
            });
            ending = match decision {
                Change::Done(hold) => return (Step::Done, hold),
                // After an answer that was lost, "not held" may be what our own request brought about.
                Change::Refused(_) if ending == Step::Unknown => return (Step::Unknown, None),
                Change::Refused(problem) => return (Step::Refused(problem), None),
                Change::Unknown => Step::Unknown,
                // "Later" says nothing about an earlier try whose answer was lost.
                Change::Again(_) if ending == Step::Unknown => Step::Unknown,
                Change::Again(why) => Step::Refused(why.to_owned()),
            };
            let pause = pause_before(retry_after, attempt, &mut self.buyer.rng);
            if attempt + 1 == self.load.tries || !self.pause(pause).await {
                break;
            }
            self.load.figures().retries += 1;
        }
        (ending, None)
    }
}
