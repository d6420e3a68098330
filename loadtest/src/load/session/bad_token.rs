//! Sends requests with expired and forged tokens, as bots do.

use std::time::Instant;

use crate::base::outcome::Outcome;
use crate::base::requests::BAD_TOKEN;
use crate::client::tokens::Forger;
use crate::figures::AnswerClass;
use crate::load::history::TapHistory;
use crate::load::session::Session;
use crate::load::session::record::exchange;

impl Session {
    /// Taps with an expired or a forged token, which must be refused.
    pub(crate) async fn try_bad_token(&mut self, is_stale: bool) {
        let bearer = if is_stale {
            self.load.tokens.forger.stale(&self.buyer.sub)
        } else {
            Forger::forged(&self.buyer.bearer, &mut self.buyer.rng)
        };
        let key = self.buyer.new_key();
        let request = self.reservation(&bearer, &key);
        let answer = self.send(&request).await;
        let (outcome, class) = match answer.status() {
            Some(401) => (Outcome::Refused, AnswerClass::Decided),
            Some(429) => (Outcome::Limited, AnswerClass::Limited),
            Some(503) => (Outcome::Shed, AnswerClass::Shed),
            None => (Outcome::Unknown, AnswerClass::Unknown),
            Some(_) => (Outcome::Wrong, AnswerClass::Failed),
        };
        self.record((BAD_TOKEN, outcome.name()), &request, &answer, class);
        let load = &self.load;
        load.figures().ended(self.buyer.scenario, outcome, load.us(answer.sent + answer.took), answer.took);
        if outcome == Outcome::Wrong {
            let mut history = self.new_history(key);
            history.outcome = Some(outcome);
            history.findings.push("an expired or forged token was accepted".to_owned());
            history.log.push(exchange(load, &request, &answer));
            self.buyer.history.push(history);
        }
        self.due = Instant::now();
    }

    /// Keeps of a bot's histories what the proof needs: a limited or shed tap left no trace, and
    /// the other keys name the account.
    pub(super) fn drop_last_if_uninformative(&mut self) {
        let history = &mut self.buyer.history;
        let is_uninformative = |history: &TapHistory| {
            matches!(history.outcome, Some(Outcome::Limited | Outcome::Shed)) && history.findings.is_empty()
        };
        if history.len() > 1 && history.last().is_some_and(is_uninformative) {
            history.pop();
        }
    }
}
