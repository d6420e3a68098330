//! Scenarios, outcomes, time, and output to the user: the basis of all other modules.

pub(crate) mod clock;
pub(crate) mod console;
pub(crate) mod failure;
pub(crate) mod files;
pub(crate) mod identity;
pub(crate) mod outcome;
pub(crate) mod requests;
pub(crate) mod scenario;
pub(crate) mod signals;
pub(crate) mod span;
pub(crate) mod timer;
pub(crate) mod worker;
