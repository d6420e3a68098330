//! The actions: what ops can do to a launch under way, and what each does to buyers, in words that stand here only.
//!
//! The command line says them before it asks, the OpenAPI document and the live page show them.

/// Characters of a reason.
const REASON_MAX: usize = 500;

/// The actions of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAction {
    /// Stops new reservations.
    Pause,
    /// Takes them again.
    Resume,
    /// Stops the sale clock: no hold expires.
    Freeze,
    /// Lets it go on.
    Unfreeze,
    /// Stops new reservations for good.
    Close,
}

impl OperatorAction {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pause, Self::Resume, Self::Freeze, Self::Unfreeze, Self::Close];

    /// The word in paths, scripts and journal.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Freeze => "freeze",
            Self::Unfreeze => "unfreeze",
            Self::Close => "close",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }

    /// What it does to buyers.
    #[must_use]
    pub fn effect(self) -> &'static str {
        match self {
            Self::Pause => {
                "New reservations are refused until the sale is resumed; apps are told when to ask again. Whoever has \
                 a reservation keeps it: changes, payments and cancellations go on, and holds expire on time."
            }
            Self::Resume => {
                "New reservations are taken again at once, if the sale is open and something is left. All who were \
                 told to ask again come back within seconds: expect a wave of taps."
            }
            Self::Freeze => {
                "No hold expires: every holder keeps the time that he has left until it is unfrozen. New reservations, \
                 changes, payments and cancellations go on. What nobody pays for does not come back meanwhile."
            }
            Self::Unfreeze => {
                "Deadlines go on from where they stood: every holder has as much time left as when it was frozen."
            }
            Self::Close => {
                "No new reservation is taken any more, for good: this can't be undone. Whoever has a reservation keeps \
                 it: changes, payments and cancellations go on, and holds expire on time."
            }
        }
    }
}

/// What a restock does to buyers.
pub const RESTOCK_EFFECT: &str = "The item's total becomes the one that is named. What it is more can be reserved at \
    once, by whoever taps first: those who were told that it was sold out are not told that it is back. If it is less, \
    only what is free goes: nobody loses a reservation, and a total below what is taken is refused.";

/// What limits do to buyers.
pub const LIMITS_EFFECT: &str = "Within a second or so every gateway refuses whoever asks for more than these rates, \
    in all sales, and says when to ask again; that stays through restarts until it is set back. Nobody loses a \
    reservation, and payments are never limited.";

/// Every lever's word with what it does to buyers, those of a sale first.
#[must_use]
pub fn effects() -> [(&'static str, &'static str); 7] {
    let [pause, resume, freeze, unfreeze, close] =
        OperatorAction::ALL.map(|action| (action.word(), action.effect()));
    [pause, resume, freeze, unfreeze, close, ("restock", RESTOCK_EFFECT), ("limits", LIMITS_EFFECT)]
}

/// A reason that is not too long, and not what stands for none.
///
/// # Errors
///
/// What is wrong with it, as a sentence.
pub fn check_reason(reason: Option<String>) -> Result<Option<String>, String> {
    match reason {
        Some(reason) if reason.chars().count() > REASON_MAX => {
            Err(format!("A reason has at most {REASON_MAX} characters."))
        }
        // In the ledger it stands for no reason.
        Some(reason) if reason == "-" => {
            Err("A reason is a text, not a lone hyphen; leave it out if there is none.".to_owned())
        }
        other => Ok(other),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
