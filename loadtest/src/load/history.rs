//! What each buyer was told: the one side of the proof. The other is the ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::plan::selection::Selection;

/// A reservation as a 200 or 201 showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) version: u64,
    pub(crate) state: String,
    pub(crate) model: String,
    pub(crate) packages: Vec<String>,
    pub(crate) store: Option<String>,
    #[serde(default)]
    pub(crate) unavailable: Vec<String>,
}

/// What became of a confirm, a cancel or an amendment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    NotTried,
    Done,
    /// Refused by the problem of this name, or never let in: nothing may have changed.
    Refused(String),
    Unknown,
}

/// A "sold out" as it was told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SoldOut {
    pub(crate) items: Vec<String>,
    /// `final`: nothing can come back by itself.
    pub(crate) last: bool,
    /// When it was asked and when it was told, by the server's clock as it was estimated.
    pub(crate) asked: Timestamp,
    pub(crate) answered: Timestamp,
}

/// An amendment and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Amend {
    pub(crate) reservation: String,
    pub(crate) step: Step,
    /// The reservation as the answer showed it, when it is done.
    pub(crate) shown: Option<Hold>,
}

/// One request and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// When it was sent, by the server's clock.
    pub(crate) at: Timestamp,
    pub(crate) took_ms: f64,
    pub(crate) request: String,
    pub(crate) answer: String,
}

/// A buyer's requests and answers; the first and the latest are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ExchangeLog {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) left_out: usize,
    /// How many answers were lost on the way, those that are left out among them.
    pub(crate) lost: usize,
}

const EXCHANGES_MAX: usize = 24;
const TEXT_MAX: usize = 500;
/// Of either end, of a story that was shortened.
const SHORT: usize = 2;

impl ExchangeLog {
    pub(crate) fn push(&mut self, exchange: Exchange) {
        self.lost += usize::from(exchange.is_lost());
        self.keep(exchange);
    }

    /// Adds another finger's.
    pub(crate) fn join(&mut self, other: ExchangeLog) {
        self.lost += other.lost;
        self.left_out += other.left_out;
        let mut all = std::mem::take(&mut self.exchanges);
        all.extend(other.exchanges);
        all.sort_by_key(|exchange| exchange.at);
        all.into_iter().for_each(|exchange| self.keep(exchange));
    }

    /// Keeps the first ones and the last ones only, of a story that is over and that nobody will ask for, most likely.
    pub(crate) fn shorten(&mut self) {
        let len = self.exchanges.len();
        if len > 2 * SHORT {
            self.exchanges.drain(SHORT..len - SHORT);
            self.left_out += len - 2 * SHORT;
        }
        self.exchanges.shrink_to_fit();
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
    /// No answer that says what became of the request: it may have been done, or be done yet.
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

/// All that one buyer was told of one tap: of one key. A buyer who taps anew with another key has several.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TapHistory {
    pub(crate) buyer: String,
    pub(crate) key: String,
    pub(crate) scenario: Scenario,
    pub(crate) selection: Selection,
    /// `None`: the buyer never came to tap.
    pub(crate) outcome: Option<Outcome>,
    /// Every 200 and 201 to the tap, in the order of arrival.
    pub(crate) holds: Vec<Hold>,
    pub(crate) sold_out: Vec<SoldOut>,
    pub(crate) amends: Vec<Amend>,
    pub(crate) confirm: Step,
    pub(crate) cancel: Step,
    /// The payment's reference, as the confirm gave it.
    pub(crate) payment: String,
    /// Where an answer strayed from the contract.
    pub(crate) complaints: Vec<String>,
    pub(crate) log: ExchangeLog,
}

impl TapHistory {
    pub(crate) fn new(buyer: String, key: String, scenario: Scenario, selection: Selection) -> TapHistory {
        TapHistory {
            payment: format!("pay-{key}"),
            buyer,
            key,
            scenario,
            selection,
            outcome: None,
            holds: Vec::new(),
            sold_out: Vec::new(),
            amends: Vec::new(),
            confirm: Step::NotTried,
            cancel: Step::NotTried,
            complaints: Vec::new(),
            log: ExchangeLog::default(),
        }
    }
}

#[cfg(test)]
mod tests;
