//! What must hold true of everything that parses bytes from outside: one target a file, each a function that takes any
//! bytes and panics where something that it promises is not so.
//!
//! `scripts/fuzz` gives them to libFuzzer. Everything is behind the feature `targets`; see `Cargo.toml`.

#![cfg(feature = "targets")]

mod reply;
mod targets;

use std::path::PathBuf;

/// A target: what it is called, and what takes the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = targets::ALL;

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|(known, _)| *known == name)
}

/// Where a target's seeds are: what was worth keeping, in the repository.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}
