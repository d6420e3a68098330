//! A buyer's sign-up: a number and up to three choices.

use crate::domain::choice::Choice;
use crate::domain::identity::buyer_part;
use crate::domain::subject::from_word;

/// The most choices of a sign-up.
pub const CHOICES_MAX: usize = 3;

/// A sign-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignUp {
    /// Counts the sale's sign-ups from 1. A buyer who withdraws and signs up again gets a new one.
    pub number: u64,
    /// When it was made, by Redis's `TIME`, in ms. Another choice does not change it.
    pub at: i64,
    /// The first choice first; 1 to 3.
    pub choices: Vec<Choice>,
}

/// A sign-up or a withdrawal, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignUpChange {
    /// The buyer's `sub`, as a word of the ledger.
    pub sub: String,
    /// `None`: it was withdrawn.
    pub after: Option<SignUp>,
}

/// The choices as one word of the ledger: theirs joined by `;`.
///
/// ```
/// use gateway::domain::signup::{choices_from_word, choices_to_word};
/// let choices = choices_from_word("air/cover,mat/gz-0001;mini//").unwrap();
/// assert_eq!(choices[1].store, None);
/// assert_eq!(choices_to_word(&choices), "air/cover,mat/gz-0001;mini//");
/// ```
pub fn choices_to_word(choices: &[Choice]) -> String {
    choices.iter().map(Choice::to_string).collect::<Vec<_>>().join(";")
}

/// The choices in a word; `None` if it is not a valid one.
pub fn choices_from_word(word: &str) -> Option<Vec<Choice>> {
    let choices: Vec<Choice> = word.split(';').map(Choice::from_word).collect::<Option<_>>()?;
    (choices.len() <= CHOICES_MAX).then_some(choices)
}

/// How many buyers are signed up, and how many the sale's page shows: that changes every 10 s at most, so that its `ETag` holds,
/// and at the same instants at every gateway that has followed the sale for so long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignUpCount {
    /// As of the latest change.
    pub now: u64,
    /// Before the first change of this interval.
    before: u64,
    /// The interval of the latest change.
    interval: i64,
}

/// How long the page shows the same count.
const COUNT_SHOWN_MS: i64 = 10_000;

impl SignUpCount {
    /// This many, as of a while ago.
    pub fn of(now: u64) -> Self {
        Self { now, before: now, interval: 0 }
    }

    /// The count after a change at this `TIME`.
    pub fn note(&mut self, now: u64, at: i64) {
        let interval = at.div_euclid(COUNT_SHOWN_MS);
        if interval > self.interval {
            (self.before, self.interval) = (self.now, interval);
        }
        self.now = now;
    }

    /// What the page shows at this `TIME`.
    pub fn shown(&self, time: i64) -> u64 {
        if time.div_euclid(COUNT_SHOWN_MS) > self.interval { self.now } else { self.before }
    }
}

impl SignUp {
    /// From the words that scripts reply with: its number, its time, and the word of its choices.
    pub fn from_words(number: &str, at: &str, choices: &str) -> Option<Self> {
        let number = number.parse().ok().filter(|number| *number > 0)?;
        Some(Self { number, at: at.parse().ok()?, choices: choices_from_word(choices)? })
    }
}

impl SignUpChange {
    /// As recovery reports and acknowledgements have it: `BUYER SUB CHOICES NUMBER AT`, or `BUYER SUB -` of a withdrawal, with
    /// the buyer's part of an id.
    pub fn to_line(&self, sale: &str) -> Option<String> {
        let Self { sub, after } = self;
        let buyer = buyer_part(sale, &from_word(sub)?);
        Some(match after {
            Some(SignUp { number, at, choices }) => {
                format!("{buyer} {sub} {} {number} {at}", choices_to_word(choices))
            }
            None => format!("{buyer} {sub} -"),
        })
    }

    /// Parses a line of the journal. Without a number it is new: `new` has its number and its time.
    pub fn from_line(line: &str, new: impl FnOnce() -> Option<(u64, i64)>) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let (sub, after) = match words[..] {
            [sub, "-"] => (sub, None),
            [sub, choices] => {
                let (number, at) = new()?;
                (sub, Some(SignUp { number, at, choices: choices_from_word(choices)? }))
            }
            [sub, choices, number, at] => (sub, Some(SignUp::from_words(number, at, choices)?)),
            _ => return None,
        };
        from_word(sub).map(|_| Self { sub: sub.to_owned(), after })
    }
}

#[cfg(test)]
mod tests;
