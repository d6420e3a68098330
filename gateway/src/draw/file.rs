//! The published file of a draw: whoever has it can repeat root, seed, ranks and allocation.
//!
//! The first line is a JSON object, see [`Head`]. Then there is a line for each entrant, in the order of their pseudonyms:
//! `PSEUDONYM CHOICES RANK MODEL`, with `-` in the place of what is not known yet, or of the model if there was none.

mod publish;
mod verify;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use publish::publish;
pub use verify::{Verified, verify};

/// The version of the file.
const VERSION: u32 = 1;

/// The first line: all that is published of the draw as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The version of the file: 1.
    pub launchgate_draw: u32,
    /// The sale's id.
    pub sale: String,
    /// The SHA-256 of the reveal, in hexadecimal, as it stood in the definition before sign-up opened.
    pub commitment: String,
    /// What the beacon is, in words.
    pub beacon_rule: String,
    /// The root of all entrants, in hexadecimal.
    pub root: String,
    /// How many there are.
    pub entrants: u64,
    /// In hexadecimal; null until it is drawn, as the next two.
    pub reveal: Option<String>,
    /// In hexadecimal.
    pub beacon: Option<String>,
    /// In hexadecimal.
    pub seed: Option<String>,
    /// How many of each model there were when the allocation began, null without a limit; left out until it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stock: Option<BTreeMap<String, Option<u64>>>,
}
