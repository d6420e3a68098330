//! Tests `relay` against a real gateway, Redis and PostgreSQL.

#![allow(missing_docs, reason = "tests are named for what they show")]
#![allow(clippy::unwrap_used, reason = "a panic shows where a test failed")]

mod usage;
mod webhook;
