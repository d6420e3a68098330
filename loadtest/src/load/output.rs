//! Manages the report's folder, and removes files of an earlier run from it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::failure::Failure;

/// What `merge` reads.
pub(crate) const RUN_RECORD: &str = "run-record.json";
/// Goose's own report.
pub(crate) const GOOSE: &str = "goose.html";
/// The same report for other programs, and for goose's own comparisons.
pub(crate) const REPORT_JSON: &str = "goose.json";
/// A line of JSON for each request.
pub(crate) const REQUEST_LOG: &str = "requests.ndjson";

/// What is left behind.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Output {
    /// The folder of report.html, report.md, verdict.json, run-record.json and goose's report;
    /// created if missing
    #[arg(long, value_name = "DIR", env = "LAUNCHGATE_REPORT")]
    pub(crate) report: Option<PathBuf>,

    /// The report's folder of an earlier run: report what became worse beyond noise
    #[arg(long, value_name = "DIR", env = "LAUNCHGATE_BASELINE")]
    pub(crate) baseline: Option<PathBuf>,

    /// End with FAIL if something became worse than the baseline, beyond noise
    #[arg(long, requires = "baseline", env = "LAUNCHGATE_FAIL_ON_WORSE")]
    pub(crate) fail_on_worse: bool,
}

/// What a run leaves in its report's folder.
const LEFT_BEHIND: [&str; 8] = [
    "verdict.json",
    "report.html",
    "report.md",
    RUN_RECORD,
    GOOSE,
    REPORT_JSON,
    REQUEST_LOG,
    "capacity.json",
];

/// Whether both are one folder.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(std::fs::canonicalize);
    matches!((one, other), (Ok(one), Ok(other)) if one == other)
}

impl Output {
    /// Creates the folder if missing and removes an earlier run's files: an old PASS beside a
    /// failed run would be taken for its verdict.
    pub(crate) fn folder(&self) -> Result<Option<&Path>, Failure> {
        let Some(dir) = self.report.as_deref() else { return Ok(None) };
        let wrong = |error: std::io::Error| Failure::Usage(format!("--report {}: {error}", dir.display()));
        std::fs::create_dir_all(dir).map_err(wrong)?;
        if self.baseline.as_deref().is_some_and(|baseline| is_same(baseline, dir)) {
            return Err(Failure::Usage(format!(
                "--report {} is the --baseline, too, and would be overwritten: name another folder",
                dir.display()
            )));
        }
        for file in LEFT_BEHIND {
            match std::fs::remove_file(dir.join(file)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(wrong(error)),
                _ => {}
            }
        }
        Ok(Some(dir))
    }
}
