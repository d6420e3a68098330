//! Lists the names under which requests are counted.

pub(crate) const LOOK: &str = "look";
pub(crate) const TIME: &str = "time";
pub(crate) const STORES: &str = "stores";
pub(crate) const RESERVE: &str = "reserve";
pub(crate) const AMEND: &str = "amend";
pub(crate) const CONFIRM: &str = "confirm";
pub(crate) const CANCEL: &str = "cancel";
/// Of a sign-up: to sign up or to change it, to withdraw it, to look at it.
pub(crate) const SIGN_UP: &str = "signup";
pub(crate) const WITHDRAW: &str = "withdraw";
pub(crate) const MY_SIGN_UP: &str = "my-signup";
/// How far the draw is.
pub(crate) const DRAW: &str = "draw";
/// Of a place in a queue: to join or to change it, to leave, to look at it.
pub(crate) const JOIN: &str = "join";
pub(crate) const LEAVE: &str = "leave";
pub(crate) const MY_PLACE: &str = "my-place";
/// A look at a reservation that no tap has made.
pub(crate) const MY_RESERVATION: &str = "my-reservation";
/// What bots try with expired and forged tokens.
pub(crate) const BAD_TOKEN: &str = "bad-token";
/// Ends the names of a bot's requests.
const BY_BOTS: &str = "-by-bots";

/// The requests that buyers make.
pub(crate) const REQUESTS: &[&str] = &[
    LOOK,
    TIME,
    STORES,
    RESERVE,
    AMEND,
    CONFIRM,
    CANCEL,
    SIGN_UP,
    WITHDRAW,
    MY_SIGN_UP,
    DRAW,
    JOIN,
    LEAVE,
    MY_PLACE,
    MY_RESERVATION,
];

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
