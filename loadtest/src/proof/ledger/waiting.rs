//! Parses the journal's lines about buyers who sign up, enter a draw or wait in a queue.

use jiff::Timestamp;
use serde::Deserialize;

use crate::plan::selection::Choice;
use crate::proof::ledger::sequence;

/// A journal line without a reservation.
#[derive(Clone, Debug)]
pub(crate) struct WaitingLine {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) step: WaitingStep,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WaitingStep {
    /// A buyer has signed up, or has other choices now.
    SignUp {
        buyer: Box<str>,
        number: u64,
        choices: Box<[Choice]>,
    },
    Withdraw {
        buyer: Box<str>,
    },
    /// Sign-up is over; so many are entrants of the draw.
    Entrants {
        root: String,
        count: u64,
    },
    /// In hexadecimal.
    Draw {
        reveal: String,
        beacon: String,
        seed: String,
    },
    /// The allocation is over: what is left sells first-come.
    Allocated,
    /// A buyer waits at this place; known places have other packages or another store now.
    Join {
        buyer: Box<str>,
        number: u64,
        choice: Choice,
    },
    Leave {
        buyer: Box<str>,
    },
    /// A buyer was passed over: the purchase limit was reached.
    Skip {
        buyer: Box<str>,
    },
}

/// As the journal has it.
#[derive(Deserialize)]
struct Line {
    /// `<sequence>-0`.
    id: String,
    at: Timestamp,
    #[serde(flatten)]
    kind: LineKind,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum LineKind {
    Signup { buyer: Box<str>, number: u64, choices: Box<[Choice]> },
    Withdraw { buyer: Box<str> },
    Entrants { root: String, entrants: u64 },
    Draw { reveal: String, beacon: String, seed: String },
    Allocate { over: bool },
    Join { buyer: Box<str>, number: u64, choice: Choice },
    Leave { buyer: Box<str> },
    Grant { buyer: Option<Box<str>> },
}

impl WaitingLine {
    /// `None`: it concerns no buyer.
    pub(super) fn read(line: &str) -> Result<Option<WaitingLine>, serde_json::Error> {
        let Line { id, at, kind } = serde_json::from_str(line)?;
        let step = match kind {
            LineKind::Signup { buyer, number, choices } => WaitingStep::SignUp { buyer, number, choices },
            LineKind::Withdraw { buyer } => WaitingStep::Withdraw { buyer },
            LineKind::Entrants { root, entrants } => WaitingStep::Entrants { root, count: entrants },
            LineKind::Draw { reveal, beacon, seed } => WaitingStep::Draw { reveal, beacon, seed },
            LineKind::Allocate { over: true } => WaitingStep::Allocated,
            LineKind::Join { buyer, number, choice } => WaitingStep::Join { buyer, number, choice },
            LineKind::Leave { buyer } => WaitingStep::Leave { buyer },
            LineKind::Grant { buyer: Some(buyer) } => WaitingStep::Skip { buyer },
            // A batch of the allocation without a hold; units that are free again, since nobody waits.
            LineKind::Allocate { over: false } | LineKind::Grant { buyer: None } => return Ok(None),
        };
        Ok(Some(WaitingLine { sequence: sequence(&id), at, step }))
    }
}
