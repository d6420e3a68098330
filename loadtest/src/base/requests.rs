//! Lists the names under which requests are counted.

pub(crate) const LOOK: &str = "look";
pub(crate) const TIME: &str = "time";
pub(crate) const STORES: &str = "stores";
pub(crate) const RESERVE: &str = "reserve";
pub(crate) const AMEND: &str = "amend";
pub(crate) const CONFIRM: &str = "confirm";
pub(crate) const CANCEL: &str = "cancel";
/// What bots try with expired and forged tokens.
pub(crate) const BAD_TOKEN: &str = "bad-token";
/// Ends the names of a bot's requests.
const BY_BOTS: &str = "-by-bots";

/// The requests that buyers make.
pub(crate) const REQUESTS: &[&str] = &[LOOK, TIME, STORES, RESERVE, AMEND, CONFIRM, CANCEL];

/// The name of a bot's request: bots are limited with good reason, so their requests are counted apart.
pub(crate) fn by_bots(name: &str) -> String {
    format!("{name}{BY_BOTS}")
}

/// Whether it is a buyer's request.
pub(crate) fn is_of_buyers(name: &str) -> bool {
    name != BAD_TOKEN && !name.ends_with(BY_BOTS)
}

/// Whether a run may make a request of this name.
pub(crate) fn is_known(name: &str) -> bool {
    let of_buyer = name.strip_suffix(BY_BOTS).unwrap_or(name);
    REQUESTS.contains(&of_buyer) || name == BAD_TOKEN
}
