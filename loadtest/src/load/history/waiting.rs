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
    /// Looks at the sign-up: of those that showed the same, the first and the latest.
    pub(crate) looks: Vec<SignUpLook>,
    /// All that was shown of the draw.
    pub(crate) draws: Vec<ShownDraw>,
    /// Joins, changes of them and departures, in the order of sending.
    pub(crate) joins: Vec<Join>,
    /// Looks at the place: of those that showed the same, the first and the latest.
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

/// A look at a sign-up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SignUpLook {
    pub(crate) shown: ShownSignUp,
    /// When the request was sent and the answer arrived, by the estimate of the server's clock.
    pub(crate) exchanged: (Timestamp, Timestamp),
}

/// A draw as anybody is shown it; what is not there yet is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ShownDraw {
    pub(crate) stage: String,
    pub(crate) commitment: String,
    pub(crate) root: Option<String>,
    pub(crate) entrants: Option<u64>,
    pub(crate) reveal: Option<String>,
    pub(crate) beacon: Option<String>,
    pub(crate) seed: Option<String>,
}

/// A request that changes a place, and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Join {
    /// `None`: a departure.
    pub(crate) wants: Option<Choice>,
    pub(crate) step: Step,
    /// What the answer showed.
    pub(crate) shown: Option<ShownPlace>,
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

/// A buyer who waits for hours sees many positions: the first looks and the last ones are enough.
const LOOKS_MAX: usize = 32;

/// Adds a look. Whether it shows something new; of looks that show the same, the first and the latest are kept.
fn see<T>(looks: &mut Vec<T>, look: T, is_same: impl Fn(&T, &T) -> bool) -> bool {
    let is_known = looks.last().is_some_and(|last| is_same(last, &look));
    let is_known_twice = is_known && looks.iter().rev().nth(1).is_some_and(|before| is_same(before, &look));
    if is_known_twice {
        looks.pop();
    } else if looks.len() == LOOKS_MAX {
        looks.remove(LOOKS_MAX / 2);
    }
    looks.push(look);
    !is_known
}

impl Waiting {
    /// Adds a look at the sign-up; whether it shows something new.
    pub(crate) fn see_sign_up(&mut self, look: SignUpLook) -> bool {
        see(&mut self.looks, look, |one, other| one.shown == other.shown)
    }

    /// Likewise of the place.
    pub(crate) fn see_place(&mut self, shown: ShownPlace) -> bool {
        let is_same = |one: &ShownPlace, other: &ShownPlace| {
            ShownPlace { exchanged: other.exchanged, ..one.clone() } == *other
        };
        see(&mut self.places, shown, is_same)
    }

    /// Likewise of the draw.
    pub(crate) fn see_draw(&mut self, shown: ShownDraw) -> bool {
        let is_new = !self.draws.contains(&shown);
        self.draws.extend(is_new.then_some(shown));
        is_new
    }

    /// All choices of the buyer that count or may count, the latest first.
    pub(crate) fn wanted(&self) -> Vec<Choice> {
        let counts = |step: &Step| matches!(step, Step::Done | Step::Unknown);
        let joins = self.joins.iter().rev().filter(|join| counts(&join.step));
        let sign_ups = self.sign_ups.iter().rev().filter(|sign_up| counts(&sign_up.step));
        let joined = joins.filter_map(|join| join.wants.clone());
        joined.chain(sign_ups.filter_map(|sign_up| sign_up.choices.clone()).flatten()).collect()
    }

    /// All pseudonyms and ranks that were shown.
    pub(crate) fn shown_sign_ups(&self) -> impl Iterator<Item = &ShownSignUp> {
        let answers = self.sign_ups.iter().filter_map(|sign_up| sign_up.shown.as_ref());
        answers.chain(self.looks.iter().map(|look| &look.shown))
    }
}
