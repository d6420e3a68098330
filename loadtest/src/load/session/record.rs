//! Records each request and each step: in the figures under its name, in the buyer's history, and for goose's report.

use std::borrow::Cow;
use std::sync::PoisonError;
use std::time::Duration;

use crate::base::clock::to_the_ms;
use crate::base::outcome::StepEnd;
use crate::base::requests::{BAD_TOKEN, by_bots};
use crate::base::span;
use crate::client::{Answer, Lost, Request};
use crate::figures::AnswerClass;
use crate::load::Load;
use crate::load::answer::class_of_read;
use crate::load::goose_request::GooseRequest;
use crate::load::history::{Exchange, Hold, clip};
use crate::load::request_log::Line;
use crate::load::session::Session;

/// A request that has no answer by then is lost, also if the run ends before its client gives it up.
const LONG: Duration = Duration::from_secs(1);

impl Session {
    /// Counts a read, which is a step of its own: it is not tried again.
    pub(super) fn record_read(&self, name: &'static str, request: &Request, answer: &Answer, is_seen: bool) {
        let class = answer.reply.as_ref().map_or(AnswerClass::Unknown, |reply| class_of_read(reply, is_seen));
        let word = match class {
            AnswerClass::Limited => "limited",
            AnswerClass::Shed => "shed",
            _ => "",
        };
        self.record((name, word), request, answer, class);
        if is_seen || !self.is_cut_short() {
            self.step_ended(name, if is_seen { StepEnd::Done } else { StepEnd::Undecided });
        }
    }

    /// Counts a request: for the figures under its name, for goose's report with the word of its answer, too.
    pub(super) fn record(
        &self,
        (name, word): (&'static str, &'static str),
        request: &Request,
        answer: &Answer,
        class: AnswerClass,
    ) {
        let load = &self.load;
        let sent = load.us(answer.sent);
        let counted = self.counted(name);
        match &answer.reply {
            Ok(reply) => {
                let (mut figures, what) = (load.figures(), (reply.status, class));
                figures.answered(&counted, sent, answer.took, what);
                figures.answered_by(answer.gateway, sent, answer.took, what);
            }
            // What the end of the run cut short is neither answered nor lost, unless it has waited for long.
            Err(Lost::NotSent) => self.cut_short(),
            Err(Lost::CutShort) if answer.took < LONG => self.cut_short(),
            Err(lost) => {
                let (mut figures, times) = (load.figures(), (answer.took, answer.patience));
                figures.lost(&counted, sent, times, lost.kind());
                figures.lost_by(answer.gateway, sent, times);
                drop(figures);
                if lost.is_port_exhaustion() {
                    load.gauges.port_exhausted();
                }
            }
        }
        if let Some(log) = load.request_log.as_ref().filter(|_| name != BAD_TOKEN) {
            log.push(Line {
                at_us: sent,
                buyer: self.buyer.number,
                scenario: self.buyer.scenario.name(),
                name,
                method: request.method.to_string(),
                path: request.path.clone(),
                key: request.key.clone(),
                body: request.body.clone(),
                status: answer.status(),
                took_us: u64::try_from(answer.took.as_micros()).unwrap_or(u64::MAX),
            });
        }
        let good = answer.reply.is_ok() && class != AnswerClass::Failed;
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(GooseRequest::new(name, word, answer, good));
    }

    /// What has been recorded since this was asked last.
    pub(crate) fn take_requests(&mut self) -> Vec<GooseRequest> {
        std::mem::take(self.requests.get_mut().unwrap_or_else(PoisonError::into_inner))
    }

    /// A reservation with the instants of the exchange that showed it.
    pub(super) fn stamped(&self, hold: Hold, answer: &Answer) -> Hold {
        Hold { exchanged: Some(self.load.exchanged(answer)), ..hold }
    }

    /// Counts a step: a request with its retries.
    pub(super) fn step_ended(&self, name: &'static str, end: StepEnd) {
        self.load.figures().step_ended(&self.counted(name), end);
    }

    /// Under which name a request counts.
    fn counted(&self, name: &'static str) -> Cow<'static, str> {
        if self.buyer.scenario.is_honest() || name == BAD_TOKEN { name.into() } else { by_bots(name).into() }
    }
}

/// A request and its answer, for a history.
pub(super) fn exchange(load: &Load, request: &Request, answer: &Answer) -> Exchange {
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
