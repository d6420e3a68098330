//! Operator actions on a running launch, and the only texts of their effects on buyers.
//!
//! The command line prints an effect before it asks for confirmation; the OpenAPI document and the live page show it.

use std::cmp::Ordering;

use crate::domain::label::label;
use crate::domain::text::grouped;

/// The most characters of a reason.
const REASON_MAX: usize = 500;

label! {
    /// An operator action on a sale, by its name in paths, scripts and journal.
    OperatorAction:
    /// Stops new reservations.
    Pause "pause",
    /// Resumes new reservations.
    Resume "resume",
    /// Stops the sale clock: no hold expires.
    Freeze "freeze",
    /// Restarts the sale clock.
    Unfreeze "unfreeze",
    /// Stops new reservations permanently.
    Close "close",
    /// Stops grants to the standby queues: what comes back is set aside.
    SuspendStandby "standby-suspend",
    /// Resumes grants.
    ResumeStandby "standby-resume",
}

impl OperatorAction {
    /// Whether it stops something: then it must work while replicas are missing.
    pub fn stops(self) -> bool {
        matches!(self, Self::Pause | Self::Freeze | Self::Close | Self::SuspendStandby)
    }

    /// The effect on buyers.
    pub fn effect(self) -> &'static str {
        match self {
            Self::Pause => {
                "New reservations are refused until the sale is resumed, with a time to retry. \
                    Existing reservations stay: changes, payments and cancellations go on, and holds \
                    expire on time. What comes back is set aside for buyers who wait, and granted after the pause."
            }
            Self::Resume => {
                "New reservations are accepted again at once, if the sale is open and stock is left. \
                    Clients that have to retry come back within seconds: expect a wave of taps."
            }
            Self::Freeze => {
                "No hold expires: every holder keeps the remaining time until the sale is unfrozen. New \
                    reservations, changes, payments and cancellations go on. Unpaid stock does not come \
                    back meanwhile."
            }
            Self::Unfreeze => {
                "Deadlines continue: every holder has as much time left as when the sale was frozen."
            }
            Self::SuspendStandby => {
                "What comes back of a model is set aside and not granted to the buyers who wait, until grants are resumed. It \
                    is not free either. The queues stay, and buyers can join and leave."
            }
            Self::ResumeStandby => {
                "What was set aside is granted to the buyers who wait, the first first, within seconds; what nobody waits for is \
                    free again."
            }
            Self::Close => {
                "New reservations end permanently: this can't be undone. Existing reservations stay: \
                    changes, payments and cancellations go on, and holds expire on time."
            }
        }
    }
}

/// The effect of a restock on buyers.
pub const RESTOCK_EFFECT: &str = "The item gets the new total. Additional stock can be reserved at once, \
    or goes to the buyers who wait for it; others who saw it as sold out are not notified. A lower total removes only free stock: every \
    reservation stays, and a total below what is taken is refused.";

/// What a new total changes, in words.
///
/// ```
/// use gateway::domain::operator_action::restock_meaning;
/// assert_eq!(restock_meaning(60, 5), "This takes 55 away: the total goes from 60 to 5.");
/// assert_eq!(restock_meaning(5, 1005), "This adds 1,000: the total goes from 5 to 1,005.");
/// assert_eq!(restock_meaning(5, 5), "This changes nothing: the total is 5 already.");
/// ```
pub fn restock_meaning(was: u64, total: u64) -> String {
    let [from, to, by] = [was, total, was.abs_diff(total)].map(grouped);
    match total.cmp(&was) {
        Ordering::Less => format!("This takes {by} away: the total goes from {from} to {to}."),
        Ordering::Greater => format!("This adds {by}: the total goes from {from} to {to}."),
        Ordering::Equal => format!("This changes nothing: the total is {from} already."),
    }
}

/// The effect of rate limits on buyers.
pub const LIMITS_EFFECT: &str = "Within about a second every gateway refuses requests above these rates, \
    in all sales, with a time to retry. The rates survive restarts until they are reset. Every \
    reservation stays, and payments are never limited.";

/// Every action's name with its effect on buyers, those of a sale first.
pub fn effects() -> Vec<(&'static str, &'static str)> {
    let actions = OperatorAction::ALL.into_iter().map(|action| (action.name(), action.effect()));
    actions.chain([("restock", RESTOCK_EFFECT), ("limits", LIMITS_EFFECT)]).collect()
}

/// Checks a reason: its length, and that it is not the ledger's word for "no reason". A blank one counts as none.
///
/// # Errors
///
/// What is wrong, as a sentence.
pub fn check_reason(reason: Option<String>) -> Result<Option<String>, String> {
    match reason.filter(|reason| !reason.trim().is_empty()) {
        Some(reason) if reason.chars().count() > REASON_MAX => {
            Err(format!("A reason has at most {REASON_MAX} characters."))
        }
        // The ledger's word for "no reason".
        Some(reason) if reason == "-" => {
            Err("A reason is a text, not a lone hyphen; leave it out if there is none.".to_owned())
        }
        other => Ok(other),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
