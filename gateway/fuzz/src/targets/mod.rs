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

pub(crate) const ALL: &[Target] = &[
    ("body", body::run),
    ("change_reply", change_reply::run),
    ("cursor", cursor::run),
    ("definition_json", definition_json::run),
    ("definition_toml", definition_toml::run),
    ("forwarded", forwarded::run),
    ("idempotency_key", idempotency_key::run),
    ("journal_entry", journal_entry::run),
    ("proxy_header", proxy_header::run),
    ("record_reply", record_reply::run),
    ("request_id", request_id::run),
    ("reserve_reply", reserve_reply::run),
    ("resp", resp::run),
    ("snapshot_reply", snapshot_reply::run),
    ("stores_query", stores_query::run),
    ("token", token::run),
];
