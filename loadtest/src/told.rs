//! Owns what each buyer was told: the one side of the proof. The other is the ledger.

use crate::wish::Wish;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A reservation as a 200 or 201 showed it.
#[derive(Clone, Debug, Deserialize)]
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

/// How a buyer's tap ended. Of several answers the first in this order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// 201: a hold of his own.
    Won,
    /// 200: an answer was lost, and the retry showed the hold.
    Replayed,
    /// An answer that the contract does not allow.
    Wrong,
    /// Nobody knows until the ledger is read.
    Unknown,
    SoldOut,
    PurchaseLimit,
    /// Closed, paused or not open until the tries were used up.
    Refused,
    /// 429 until the tries were used up.
    Limited,
    /// 503, certainly not taken, until the tries were used up.
    Shed,
}

impl Outcome {
    /// Every outcome with its name in verdict.json.
    pub(crate) const ALL: [(Outcome, &'static str); 9] = [
        (Outcome::Won, "won"),
        (Outcome::Replayed, "replayed"),
        (Outcome::SoldOut, "sold_out"),
        (Outcome::PurchaseLimit, "purchase_limit"),
        (Outcome::Limited, "limited"),
        (Outcome::Shed, "shed"),
        (Outcome::Unknown, "unknown"),
        (Outcome::Refused, "refused"),
        (Outcome::Wrong, "wrong"),
    ];

    pub(crate) fn holds(self) -> bool {
        matches!(self, Outcome::Won | Outcome::Replayed)
    }

    /// Whether the gateway said yes or no, rather than "later" or nothing.
    pub(crate) fn decided(self) -> bool {
        matches!(self, Outcome::Won | Outcome::Replayed | Outcome::SoldOut | Outcome::PurchaseLimit)
    }
}

/// What became of a confirm or a cancel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    NotTried,
    Done,
    /// Refused by the problem of this name, or never let in: nothing may have changed.
    Refused(String),
    Unknown,
}

/// A "sold out" as it was told.
#[derive(Clone, Debug)]
pub(crate) struct SoldOut {
    pub(crate) items: Vec<String>,
    /// `final`: nothing can come back by itself.
    pub(crate) last: bool,
}

/// One request and its answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Exchange {
    /// When it was sent, by the server's clock.
    pub(crate) at: Timestamp,
    pub(crate) took_ms: f64,
    pub(crate) request: String,
    pub(crate) answer: String,
}

/// A buyer's requests and answers; the first and the latest are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) exchanges: Vec<Exchange>,
    pub(crate) left_out: usize,
}

const EXCHANGES_MAX: usize = 40;
const TEXT_MAX: usize = 700;

impl History {
    pub(crate) fn push(&mut self, exchange: Exchange) {
        if self.exchanges.len() == EXCHANGES_MAX {
            self.exchanges.remove(EXCHANGES_MAX / 2);
            self.left_out += 1;
        }
        self.exchanges.push(exchange);
    }
}

/// An answer's text, cut to what a history may hold.
pub(crate) fn clip(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}

/// All that one buyer was told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) buyer: String,
    pub(crate) wish: Wish,
    /// `None`: the buyer never came to tap.
    pub(crate) outcome: Option<Outcome>,
    /// Every 200 and 201 to a tap, in the order of arrival.
    pub(crate) holds: Vec<Hold>,
    pub(crate) sold_out: Vec<SoldOut>,
    pub(crate) confirm: Step,
    pub(crate) cancel: Step,
    /// The payment's reference, as the confirm gave it.
    pub(crate) payment: String,
    /// Where an answer strayed from the contract.
    pub(crate) complaints: Vec<String>,
    pub(crate) retries: u64,
    /// From the first request being sent after the opening: how late the tap left.
    pub(crate) skew: Option<Duration>,
    /// From the tap to its outcome, retries and waits included.
    pub(crate) waited: Option<Duration>,
    /// Each reservation request that was answered.
    pub(crate) requests: Vec<Duration>,
    pub(crate) history: History,
}

impl Told {
    pub(crate) fn new(buyer: String, wish: Wish, payment: String) -> Told {
        Told {
            buyer,
            wish,
            outcome: None,
            holds: Vec::new(),
            sold_out: Vec::new(),
            confirm: Step::NotTried,
            cancel: Step::NotTried,
            payment,
            complaints: Vec::new(),
            retries: 0,
            skew: None,
            waited: None,
            requests: Vec::new(),
            history: History::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_bounded_and_keeps_both_ends() {
        let mut history = History::default();
        for n in 0..100 {
            history.push(Exchange {
                at: Timestamp::UNIX_EPOCH,
                took_ms: f64::from(n),
                request: String::new(),
                answer: String::new(),
            });
        }
        assert_eq!((history.exchanges.len(), history.left_out), (EXCHANGES_MAX, 60));
        assert_eq!(history.exchanges.first().map(|e| e.took_ms), Some(0.0));
        assert_eq!(history.exchanges.last().map(|e| e.took_ms), Some(99.0));
    }

    #[test]
    fn long_answers_are_cut_between_characters() {
        assert_eq!(clip("short"), "short");
        assert!(clip(&"车".repeat(1000)).ends_with("(3000 bytes)"));
    }
}
