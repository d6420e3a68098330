//! The list of all targets.

mod body;
mod change_reply;
mod cursor;
mod definition_json;
mod definition_toml;
mod forwarded;
mod idempotency_key;
mod journal_entry;
mod proxy_header;
mod record_reply;
mod request_id;
mod reserve_reply;
mod resp;
mod snapshot_reply;
mod stores_query;
mod token;

use crate::Target;

/// The name and the function of each target.
macro_rules! targets {
    ($($name:ident),*) => { &[$((stringify!($name), $name::run)),*] };
}

pub(crate) const ALL: &[Target] = targets![
    body,
    change_reply,
    cursor,
    definition_json,
    definition_toml,
    forwarded,
    idempotency_key,
    journal_entry,
    proxy_header,
    record_reply,
    request_id,
    reserve_reply,
    resp,
    snapshot_reply,
    stores_query,
    token
];
