//! Tests `relay` against a real gateway, Redis and PostgreSQL.

#![allow(missing_docs, reason = "tests are named for what they show")]
#![allow(clippy::unwrap_used, reason = "a panic shows where a test failed")]

mod copy;
mod fork;
mod interrupted;
mod lease;
mod ledger;
mod stage;
mod stdout;
mod usage;
mod webhook;
