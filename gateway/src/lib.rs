//! Launchgate's gateway: takes the taps of a launch, decides each exactly once, tells the truth quickly, loses nothing.
//!
//! accept → identify → admit → reserve → respond. `ARCHITECTURE.md` beside this folder has the map.

pub mod admit;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod domain;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod identify;
pub mod ledger;
pub mod log;
mod nearest;
pub mod ops;
pub mod ops_tokens;
pub mod runtime;
pub mod serve;
mod signals;
