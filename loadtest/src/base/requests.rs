//! Lists the names under which requests are counted.

/// All requests that a run may make, by the names that they are counted under.
pub(crate) const REQUESTS: &[&str] =
    &["look at the sale", "ask for the time", "browse the stores", RESERVE, "amend", "confirm", "cancel"];

/// A tap; the name of the others stands where they are sent.
pub(crate) const RESERVE: &str = "reserve";
/// What `look` counts besides, and what bots try; what bots do has an ending of its own.
pub(crate) const FROM_ITS_INSTANT: &str = "look, from its instant";
pub(crate) const BAD_TOKEN: &str = "reserve with a bad token";
pub(crate) const OF_BOTS: &str = " (bots)";
