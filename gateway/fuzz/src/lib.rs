//! Fuzz targets: each function takes arbitrary bytes and panics when a parser breaks an invariant.
//!
//! `scripts/fuzz` passes them to libFuzzer. Everything is behind the feature `targets`; see `Cargo.toml`.

#![cfg(feature = "targets")]

mod reply;
mod targets;

use std::path::PathBuf;

/// A fuzz target: its name and the function that receives the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All fuzz targets.
pub const TARGETS: &[Target] = targets::ALL;

/// The target of this name.
#[must_use]
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|(known, _)| *known == name)
}

/// The directory of a target's seed corpus in the repository.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name)
}
