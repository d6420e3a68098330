//! Records what each buyer was acknowledged; the proof compares it with the ledger.

pub(crate) mod packed;
pub(crate) mod waiting;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::outcome::{Outcome, StepEnd};
use crate::base::scenario::Scenario;
use crate::client::trace::Trace;
use crate::plan::price_list::Price;
use crate::plan::selection::Selection;
use waiting::Waiting;

/// A reservation as a 200 or 201 showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The reservation's id.
    pub id: String,
    /// Its number in the sale's order.
    pub number: u64,
    /// How often it was changed, from 1.
    pub version: u64,
    /// `held`, `confirmed`, …
    pub state: String,
    /// The reserved model.
    pub model: String,
    /// The reserved packages.
    pub packages: Vec<String>,
    /// The chosen store.
    pub store: Option<String>,
    /// Packages that were left out.
    #[serde(default)]
    pub unavailable: Vec<String>,
    pub(crate) price: Option<Price>,
    pub(crate) held_at: Option<Timestamp>,
    pub(crate) expires_at: Option<Timestamp>,
    /// When the ledger answered.
    pub(crate) server_time: Option<Timestamp>,
    /// When the request was sent and the answer arrived, by the buyer's estimate of the server's clock.
    #[serde(default)]
    pub(crate) exchanged: Option<(Timestamp, Timestamp)>,
    /// It was shown by the 201 that took it.
    #[serde(default)]
    pub(crate) is_new: bool,
}

/// What became of a confirm, a cancel or an amendment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The session did not send it.
    #[default]
    NotTried,
    /// The gateway acknowledged it.
    Done,
    /// The gateway refused it with this problem, or shed it: the ledger must not have changed.
    Refused(String),
    /// The answer was lost.
    Unknown,
}

impl Step {
    /// How it ended: what was limited or shed at the last try was not decided.
    pub(crate) fn end(&self) -> StepEnd {
        match self {
            Step::Done => StepEnd::Done,
            Step::Refused(why) if why != LIMITED && why != SHED => StepEnd::Refused,
            Step::NotTried | Step::Unknown | Step::Refused(_) => StepEnd::Undecided,
        }
    }
}

/// Why the last try was refused, where the gateway did not look at the request.
pub(crate) const LIMITED: &str = "limited";
pub(crate) const SHED: &str = "shed";

/// A `sold-out` answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SoldOut {
    pub(crate) items: Vec<String>,
    /// `final`: no outstanding hold can return stock.
    pub(crate) last: bool,
    /// When the request left and when the answer came, by the estimate of the server's clock.
    pub(crate) asked: Timestamp,
    pub(crate) answered: Timestamp,
}

/// What an amendment asks for; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WantedChange {
    /// Another model.
    pub model: Option<String>,
    /// All packages, not only new ones.
    pub packages: Option<Vec<String>>,
    /// Another store.
    pub store: Option<String>,
}

/// An amendment and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Amend {
    /// The reservation's id.
    pub reservation: String,
    /// What it asked for.
    #[serde(default)]
    pub wanted: WantedChange,
    /// What became of it.
    pub step: Step,
    /// The reservation as the answer showed it, when it is done.
    pub shown: Option<Hold>,
}

/// A tap that was refused because the sale was paused, closed or not open yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PhaseRefusal {
    /// `paused`, `closed` or `not-open`.
    pub(crate) phase: String,
    /// When the request left and when the answer came, by the estimate of the server's clock.
    pub(crate) asked: Timestamp,
    pub(crate) answered: Timestamp,
}

/// A confirm, a cancel or an amendment that was refused for good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RefusedChange {
    /// The request's name.
    pub(crate) request: String,
    pub(crate) reservation: String,
    /// The problem, like `sold-out`.
    pub(crate) why: String,
    /// The version that the request named.
    pub(crate) version: Option<u64>,
    /// What an amendment asked for, like `store:gz-0001`.
    pub(crate) wanted: Vec<String>,
    /// Which items, and whether it is final, of `sold-out`; and when the request left and when the answer came.
    pub(crate) answer: SoldOut,
    /// An earlier try has no answer: its effect may be the reason.
    pub(crate) after_lost: bool,
    /// A confirm or a cancel was sent before.
    pub(crate) after_settling: bool,
    /// A service asked, which may do more than a buyer.
    #[serde(default)]
    pub(crate) as_service: bool,
    /// When the first request for the reservation was sent.
    pub(crate) began: Option<Timestamp>,
}

/// One request and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exchange {
    /// When it was sent, by the server's clock.
    pub at: Timestamp,
    /// Milliseconds to the answer or to the failure.
    pub took_ms: f64,
    /// The request's method, path, idempotency key and body.
    pub request: String,
    /// The answer's status and body, or why there is none.
    pub answer: String,
    /// The request's `traceparent`, which tracing proxies have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<Trace>,
    /// The answer's `X-Request-Id`, which the gateway's log has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<Box<str>>,
}

/// A buyer's requests and answers: the first and the latest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ExchangeLog {
    /// In the order of sending.
    pub exchanges: Vec<Exchange>,
    pub(crate) left_out: usize,
    /// How many answers were lost, including those of exchanges that are left out.
    pub lost: usize,
}

/// How much of their exchanges histories keep: those of a soak of hours must fit in RAM and in run-record.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExchangesKept {
    All,
    /// The first and the last two of each.
    Ends,
    /// Those of histories in which something was lost or wrong.
    OfTroubles,
}

const EXCHANGES_MAX: usize = 24;
const TEXT_MAX: usize = 500;
/// A key's tries while a sale is paused.
const PHASE_REFUSALS_MAX: usize = 8;
/// Exchanges that remain at either end of a shortened log.
const SHORT: usize = 2;
/// How many buyers a run has at most for all of their exchanges to be kept, and for the ends of all.
const KEEP_ALL_MAX: usize = 50_000;
const KEEP_ENDS_MAX: usize = 500_000;

impl ExchangesKept {
    /// Of a run with so many buyers.
    pub(crate) fn of(buyers: usize) -> ExchangesKept {
        if buyers <= KEEP_ALL_MAX {
            ExchangesKept::All
        } else if buyers <= KEEP_ENDS_MAX {
            ExchangesKept::Ends
        } else {
            ExchangesKept::OfTroubles
        }
    }
}

impl ExchangeLog {
    pub(crate) fn push(&mut self, exchange: Exchange) {
        self.lost += usize::from(exchange.is_lost());
        self.keep(exchange);
    }

    /// Adds the exchanges of another session with the same key.
    pub(crate) fn join(&mut self, other: ExchangeLog) {
        self.lost += other.lost;
        self.left_out += other.left_out;
        let mut all = std::mem::take(&mut self.exchanges);
        all.extend(other.exchanges);
        all.sort_by_key(|exchange| exchange.at);
        all.into_iter().for_each(|exchange| self.keep(exchange));
    }

    /// Drops all but so many of the first and of the last exchanges.
    fn keep_ends(&mut self, ends: usize) {
        let len = self.exchanges.len();
        if len > 2 * ends {
            self.exchanges.drain(ends..len - ends);
            self.left_out += len - 2 * ends;
        }
    }

    fn keep(&mut self, exchange: Exchange) {
        if self.exchanges.len() == EXCHANGES_MAX {
            self.exchanges.remove(EXCHANGES_MAX / 2);
            self.left_out += 1;
        }
        self.exchanges.push(exchange);
    }
}

impl Exchange {
    /// An exchange whose trace and id are not known.
    pub fn new(at: Timestamp, took_ms: f64, request: String, answer: String) -> Exchange {
        Exchange { at, took_ms, request, answer, trace: None, request_id: None }
    }

    /// Whether no answer shows the result: the change may have happened, or may still happen.
    fn is_lost(&self) -> bool {
        let status = self.answer.split(' ').next().unwrap_or_default();
        match status {
            "502" | "504" => true,
            "503" => !self.answer.contains("temporary-reduced-capacity"),
            status => status.parse::<u16>().is_err(),
        }
    }
}

/// An answer's text, cut to what a history may hold.
pub(crate) fn clip(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// What one buyer was acknowledged for one idempotency key. A buyer with several keys has several.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TapHistory {
    /// The buyer's id.
    pub buyer: String,
    /// The idempotency key.
    pub key: String,
    pub(crate) scenario: Scenario,
    /// What the buyer asked for.
    pub selection: Selection,
    /// `None`: the buyer never tapped.
    pub outcome: Option<Outcome>,
    /// Every 200 and 201 to the tap, in the order of arrival.
    pub holds: Vec<Hold>,
    pub(crate) sold_out: Vec<SoldOut>,
    #[serde(default)]
    pub(crate) by_phase: Vec<PhaseRefusal>,
    /// Amendments, in the order of sending.
    pub amends: Vec<Amend>,
    /// What became of the confirm.
    pub confirm: Step,
    /// What became of the cancel.
    pub cancel: Step,
    /// Confirms, cancels and amendments that were refused for good.
    #[serde(default)]
    pub(crate) refused: Vec<RefusedChange>,
    /// The reservation as the answers to confirm and cancel showed it.
    #[serde(default)]
    pub(crate) settled: Vec<Hold>,
    /// The payment's reference, as the confirm gave it.
    pub(crate) payment: String,
    /// Answers that the contract does not allow.
    pub(crate) findings: Vec<String>,
    /// What a buyer did who signed up or waited: then there was no tap, and `holds` are of a draw or granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<Box<Waiting>>,
    /// Requests and answers.
    pub log: ExchangeLog,
}

impl TapHistory {
    /// An empty history of a buyer with a key.
    pub fn new(buyer: String, key: String, scenario: Scenario, selection: Selection) -> TapHistory {
        TapHistory {
            payment: format!("pay-{key}"),
            buyer,
            key,
            scenario,
            selection,
            outcome: None,
            holds: Vec::new(),
            sold_out: Vec::new(),
            by_phase: Vec::new(),
            amends: Vec::new(),
            confirm: Step::NotTried,
            cancel: Step::NotTried,
            refused: Vec::new(),
            settled: Vec::new(),
            findings: Vec::new(),
            waiting: None,
            log: ExchangeLog::default(),
        }
    }

    /// Adds a refusal by the phase of the sale; the first ones are enough.
    pub(crate) fn refuse_by_phase(&mut self, phase: &str, asked: Timestamp, answered: Timestamp) {
        if self.by_phase.len() < PHASE_REFUSALS_MAX {
            self.by_phase.push(PhaseRefusal { phase: phase.to_owned(), asked, answered });
        }
    }

    /// Drops exchanges of a session that has ended; what the proof needs stays.
    pub(crate) fn shorten(&mut self, kept: ExchangesKept) {
        let is_in_trouble = self.log.lost > 0
            || !self.findings.is_empty()
            || matches!(self.outcome, Some(Outcome::Unknown | Outcome::Wrong));
        match kept {
            ExchangesKept::All => {}
            ExchangesKept::OfTroubles if !is_in_trouble => self.log.keep_ends(0),
            ExchangesKept::Ends | ExchangesKept::OfTroubles => self.log.keep_ends(SHORT),
        }
    }

    /// Adds the refusal of a change.
    pub(crate) fn refuse(&mut self, refused: RefusedChange) {
        let after_settling = self.confirm != Step::NotTried || self.cancel != Step::NotTried;
        let began = self.log.exchanges.first().map(|exchange| exchange.at);
        self.refused.push(RefusedChange { after_settling, began, ..refused });
    }

    /// Adds what another session with the same key was acknowledged.
    pub(crate) fn join(&mut self, other: TapHistory) {
        self.outcome = self.outcome.into_iter().chain(other.outcome).min();
        self.holds.extend(other.holds);
        self.sold_out.extend(other.sold_out);
        self.by_phase.extend(other.by_phase);
        self.findings.extend(other.findings);
        self.log.join(other.log);
    }
}

#[cfg(test)]
mod tests;
