//! Records what a buyer was shown of a sign-up, of a draw and of a place in a queue.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::load::history::Step;
use crate::plan::selection::Choice;

/// What a buyer did and saw besides taps.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Waiting {
    /// Sign-ups, changes of them and withdrawals, in the order of sending.
    pub(crate) sign_ups: Vec<SignUp>,
    /// Looks at the sign-up that showed something new.
    pub(crate) looks: Vec<ShownSignUp>,
    /// The seed, as the draw was shown.
    pub(crate) seed: Option<String>,
    /// Joins, changes of them and departures, in the order of sending.
    pub(crate) joins: Vec<Join>,
    /// Looks at the place that showed something new.
    pub(crate) places: Vec<ShownPlace>,
}

/// A request that changes a sign-up, and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignUp {
    /// `None`: a withdrawal.
    pub(crate) choices: Option<Vec<Choice>>,
    pub(crate) step: Step,
    /// What the answer showed.
    pub(crate) shown: Option<ShownSignUp>,
    /// A 201.
    pub(crate) is_new: bool,
    /// When the last try was sent and its answer arrived, by the estimate of the server's clock.
    pub(crate) exchanged: Option<(Timestamp, Timestamp)>,
}

/// A sign-up as an answer showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShownSignUp {
    pub(crate) number: u64,
    pub(crate) choices: Vec<Choice>,
    /// Of a sale that sells by a draw.
    pub(crate) pseudonym: Option<String>,
    pub(crate) rank: Option<u64>,
    pub(crate) reservation: Option<String>,
}

/// A request that changes a place, and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Join {
    /// `None`: a departure.
    pub(crate) wants: Option<Choice>,
    pub(crate) step: Step,
    /// Likewise.
    pub(crate) exchanged: Option<(Timestamp, Timestamp)>,
}

/// A place as an answer showed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShownPlace {
    pub(crate) model: String,
    /// `waiting`, `granted`, `skipped` or `ended`.
    pub(crate) state: String,
    pub(crate) position: Option<u64>,
    pub(crate) odds: Option<f64>,
    pub(crate) reservation: Option<String>,
    /// When the request was sent and the answer arrived, by the estimate of the server's clock.
    #[serde(default)]
    pub(crate) exchanged: Option<(Timestamp, Timestamp)>,
}

/// A buyer who waits for hours looks thousands of times: the first looks and the last ones are enough.
const PLACES_MAX: usize = 32;

impl Waiting {
    /// Adds a look, if it shows something new.
    pub(crate) fn see_sign_up(&mut self, shown: ShownSignUp) {
        if self.looks.last() != Some(&shown) {
            self.looks.push(shown);
        }
    }

    /// Likewise.
    pub(crate) fn see_place(&mut self, shown: ShownPlace) {
        let is_same = |last: &ShownPlace| ShownPlace { exchanged: shown.exchanged, ..last.clone() } == shown;
        if self.places.last().is_some_and(is_same) {
            return;
        }
        if self.places.len() == PLACES_MAX {
            self.places.remove(PLACES_MAX / 2);
        }
        self.places.push(shown);
    }

    /// All choices of the buyer, the latest first.
    pub(crate) fn wanted(&self) -> Vec<Choice> {
        let joined = self.joins.iter().rev().filter_map(|join| join.wants.clone());
        let signed_up = self.sign_ups.iter().rev().filter_map(|sign_up| sign_up.choices.clone());
        joined.chain(signed_up.flatten()).collect()
    }

    /// The pseudonym, and the latest rank that was shown.
    pub(crate) fn entrant(&self) -> Option<(&str, Option<u64>)> {
        let answers = self.sign_ups.iter().filter_map(|sign_up| sign_up.shown.as_ref());
        let pseudonym = self.looks.iter().chain(answers).find_map(|shown| shown.pseudonym.as_deref())?;
        Some((pseudonym, self.looks.iter().rev().find_map(|shown| shown.rank)))
    }
}
