//! Launchgate's gateway: reservations of a launch, each decided exactly once by a ledger in Redis.
//!
//! accept → identify → admit → reserve → respond. `ARCHITECTURE.md` beside this folder has the map.

pub mod admit;
pub mod api;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod domain;
pub mod draw;
pub mod fleet;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod identify;
pub mod manage;
pub mod openapi;
pub mod ops;
pub mod projection;
pub mod recovery;
pub mod reserve;
pub mod runtime;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod terminal;
