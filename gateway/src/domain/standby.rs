//! A buyer's place in a standby queue, and the odds of getting something there.

mod hold_times;

use std::fmt::Write;

pub use hold_times::{HoldTimes, Outcomes};
use special::Beta;

use crate::domain::choice::Choice;
use crate::domain::identity::buyer_part;
use crate::domain::label::label;
use crate::domain::subject::from_word;

label! {
    /// What became of a place.
    #[derive(serde::Serialize, utoipa::ToSchema)]
    #[serde(rename_all = "snake_case")]
    PlaceState:
    /// Its buyer waits.
    Waiting "waiting",
    /// Its buyer was granted a reservation.
    Granted "granted",
    /// Its buyer had reached the purchase limit when it was the first.
    Skipped "skipped",
    /// The sale has closed.
    Ended "ended",
}

/// Someone joined a queue, wants something else there, or left: a line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceChange {
    /// The buyer's `sub`, as a word of the ledger.
    pub sub: String,
    /// The place's number, which counts the places of the sale from 1, and what its buyer waits for; `None`: left.
    pub after: Option<(u64, Choice)>,
}

impl PlaceChange {
    /// As recovery reports and acknowledgements have it: `BUYER SUB CHOICE NUMBER`, or `BUYER SUB -`, with the buyer's
    /// part of an id.
    pub fn to_line(&self, sale: &str) -> Option<String> {
        let Self { sub, after } = self;
        let mut line = format!("{} {sub} ", buyer_part(sale, &from_word(sub)?));
        // Writing to a text can't fail.
        let _ = match after {
            Some((number, choice)) => write!(line, "{choice} {number}"),
            None => line.write_char('-'),
        };
        Some(line)
    }

    /// Parses a line of the journal. Without a number the place is new: `new` has its number.
    pub fn from_line(line: &str, new: impl FnOnce() -> Option<u64>) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let (sub, after) = match words[..] {
            [sub, "-"] => (sub, None),
            [sub, choice] => (sub, Some((new()?, Choice::from_word(choice)?))),
            [sub, choice, number] => (sub, Some((number.parse().ok()?, Choice::from_word(choice)?))),
            _ => return None,
        };
        from_word(sub).map(|_| Self { sub: sub.to_owned(), after })
    }
}

/// Odds are null until so many holds have ended: before, their share says little.
const ENDED_MIN: u64 = 20;
/// No share is nearer to 0 or 1.
const SHARE_MIN: f64 = 1e-9;

/// What the odds follow from: nothing of it changes when buyers poll.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Units of the model that are set aside for its queue.
    pub aside: u64,
    /// Outstanding holds of the model.
    pub held: u64,
    /// Holds of the sale that ended with a payment.
    pub paid: u64,
    /// Holds of the sale that ended without.
    pub unpaid: u64,
    /// What becomes of holds by their age; `None`: not known, and so all end as those did that have ended.
    pub outcomes: Option<Outcomes>,
}

impl Outlook {
    /// The probability that so many units come back as a place at this position needs, in steps of 0.01.
    ///
    /// An outstanding hold ends without a payment with one probability, and then the next of the queue holds the unit, who
    /// may not pay either, with another one. If both are the same, the number of returns until the `held` units are paid is
    /// distributed as the failures before the `held`th success, so that P(returns ≥ n) is the regularised incomplete beta
    /// function I(share; n, held). Otherwise it is that of the negative binomial distribution, or of the binomial one, with
    /// the mean and the variance of the returns.
    ///
    /// The shares are not known, but estimated from the holds that have ended (Jeffreys' prior): with m = n + held − 1 holds
    /// to come and s of the past, the variance of their unpaid share is that of m (s + 1) / (m + s) holds with a known one,
    /// and both counts are scaled by that. A test plays a thousand sales: without the scaling, odds of 0.14 came true in a
    /// third of the cases.
    ///
    /// ```
    /// use gateway::domain::standby::Outlook;
    /// let outlook = Outlook { aside: 0, held: 100, paid: 70, unpaid: 30, outcomes: None };
    /// assert_eq!(outlook.odds(1), Some(1.0));
    /// assert_eq!(outlook.odds(43), Some(0.52));
    /// assert_eq!(outlook.odds(90), Some(0.0));
    /// assert_eq!(Outlook { paid: 10, unpaid: 9, ..outlook }.odds(1), None);
    /// ```
    pub fn odds(self, position: u64) -> Option<f64> {
        let Self { aside, held, paid, unpaid, outcomes } = self;
        if paid + unpaid < ENDED_MIN {
            return None;
        }
        let needed = position.saturating_sub(aside);
        if needed == 0 || held == 0 {
            return Some(if needed == 0 { 1.0 } else { 0.0 });
        }
        #[expect(clippy::cast_precision_loss, reason = "they are far below 2^53")]
        let [unpaid, past, needed, held] = [unpaid, paid + unpaid, needed, held].map(|n| n as f64);
        let share = (unpaid + 0.5) / (past + 1.0);
        let alike = Outcomes { granted: share, outstanding: share, variance: share * (1.0 - share) };
        let Outcomes { granted, outstanding, variance } = outcomes.unwrap_or(alike);
        // No share is certain.
        let [granted, outstanding] = [granted, outstanding].map(|of| of.clamp(SHARE_MIN, 1.0 - SHARE_MIN));
        let past = past + 1.0;
        let scale = (past + 1.0) / (needed + held - 1.0 + past);
        let mean = held * outstanding / (1.0 - granted);
        let spread = (outstanding * granted + variance) / (outstanding * (1.0 - granted));
        let at_least = |probability: f64, returns: f64, others: f64| {
            let (returns, others) = (returns * scale, others * scale);
            probability.inc_beta(returns, others, returns.ln_beta(others))
        };
        let probability = if spread > 1.0 {
            let probability = 1.0 - 1.0 / spread;
            at_least(probability, needed, mean * (1.0 - probability) / probability)
        } else {
            let probability = (1.0 - spread).max(SHARE_MIN);
            let others = mean / probability - needed + 1.0;
            if others > 0.0 { at_least(probability, needed, others) } else { 0.0 }
        };
        Some((probability.clamp(0.0, 1.0) * 100.0).round() / 100.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
