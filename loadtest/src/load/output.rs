//! Manages the report's folder, and removes files of an earlier run from it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::base::console;
use crate::base::failure::Failure;

/// What `merge` reads.
pub(crate) const RUN_RECORD: &str = "run-record.json";
/// Goose's own report.
pub(crate) const GOOSE: &str = "goose.html";
/// The same report for other programs, and for goose's own comparisons.
pub(crate) const REPORT_JSON: &str = "goose.json";
/// A row for each second.
pub(crate) const SECONDS: &str = "seconds.csv";
/// The folder of the distributions of latencies.
pub(crate) const HDR: &str = "hdr";
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

    /// Write the verdict for another program: json (as verdict.json) or junit, to a file or to standard output (`-`, and
    /// without a file), as in junit:loadtest.xml or json:-; all else then goes to standard error; may be repeated
    #[arg(long, value_name = "FORMAT[:FILE]", value_delimiter = ',', value_parser = Summary::parse, env = "LAUNCHGATE_SUMMARY")]
    pub(crate) summary: Vec<Summary>,

    /// End with FAIL if something became worse than the baseline, beyond noise
    #[arg(long, requires = "baseline", env = "LAUNCHGATE_FAIL_ON_WORSE")]
    pub(crate) fail_on_worse: bool,
}

/// The verdict for another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) format: SummaryFormat,
    /// `None`: standard output.
    pub(crate) file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SummaryFormat {
    Json,
    Junit,
}

impl Summary {
    /// Reads `junit:FILE`, `json:-` or `json`.
    pub(crate) fn parse(text: &str) -> Result<Summary, String> {
        let (format, file) = text.split_once(':').unwrap_or((text, "-"));
        let format = match format {
            "json" => SummaryFormat::Json,
            "junit" => SummaryFormat::Junit,
            _ => {
                return Err(
                    "write it as json or junit with a file, as in junit:loadtest.xml or json:-".to_owned()
                );
            }
        };
        if file.is_empty() {
            return Err("the name of the file is missing: write - for standard output".to_owned());
        }
        Ok(Summary { format, file: (file != "-").then(|| PathBuf::from(file)) })
    }
}

/// What a run leaves in its report's folder.
const LEFT_BEHIND: [&str; 9] = [
    "verdict.json",
    "report.html",
    "report.md",
    RUN_RECORD,
    GOOSE,
    REPORT_JSON,
    REQUEST_LOG,
    SECONDS,
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
        let distributions = std::fs::read_dir(dir.join(HDR)).into_iter().flatten().flatten();
        let distributions = distributions.map(|file| file.path());
        let distributions = distributions.filter(|file| file.extension().is_some_and(|end| end == "hgrm"));
        for file in LEFT_BEHIND.iter().map(|file| dir.join(file)).chain(distributions) {
            remove(&file).map_err(wrong)?;
        }
        Ok(Some(dir))
    }

    /// Keeps standard output for a summary, where one goes there, and removes summaries of an earlier run. The files
    /// can be written: a run of hours must not find out at its end.
    pub(crate) fn prepare_summaries(&self) -> Result<(), Failure> {
        for Summary { file, .. } in &self.summary {
            let Some(path) = file else {
                let failed = |error: std::io::Error| {
                    Failure::Outside(format!("standard error can't be used for the report: {error}"))
                };
                console::keep_stdout_for_summary().map_err(failed)?;
                continue;
            };
            let wrong =
                |error: std::io::Error| Failure::Usage(format!("--summary {}: {error}", path.display()));
            // A device can't be removed.
            if path.metadata().is_ok_and(|at| !at.is_file() && !at.is_dir()) {
                continue;
            }
            std::fs::File::create(path).and_then(|_| remove(path)).map_err(wrong)?;
        }
        if self.summary.iter().filter(|summary| summary.file.is_none()).count() > 1 {
            return Err(Failure::Usage(
                "--summary: only one can go to standard output: give the others files".to_owned(),
            ));
        }
        Ok(())
    }
}

fn remove(file: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
