//! What everything here stands on: scenarios, outcomes, time, and what is said to the user.

pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod failure;
pub(crate) mod outcome;
pub(crate) mod requests;
pub(crate) mod scenario;
pub(crate) mod signals;
pub(crate) mod span;
pub(crate) mod timer;
