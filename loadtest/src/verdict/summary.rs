//! Reads from verdict.json what other programs need.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::base::failure::Failure;
use crate::base::files;
use crate::proof::rules::Violation;
use crate::verdict::{Arrived, RequestSummary, VERDICT, Word};

/// The members of verdict.json that other programs read.
#[derive(Debug, Deserialize)]
pub struct VerdictSummary {
    /// How the run ended.
    pub verdict: Word,
    /// Why it is not PASS.
    pub reasons: Vec<String>,
    /// Broken rules.
    pub violations: Vec<Violation>,
    /// The requests by their name.
    pub requests: BTreeMap<String, RequestSummary>,
    /// The starts of work.
    pub arrivals: Arrived,
}

impl VerdictSummary {
    /// Reads verdict.json in a report's folder.
    pub fn read(dir: &Path) -> Result<VerdictSummary, Failure> {
        files::read_json(&dir.join(VERDICT))
    }
}
