//! Writes the verdict for other programs, as `--summary` asks: verdict.json, or JUnit's XML.

use std::io::ErrorKind;

use crate::base::failure::Failure;
use crate::base::{console, files};
use crate::load::output::{Summary, SummaryFormat};
use crate::report::junit;
use crate::verdict::Verdict;

/// Writes all of them.
pub(crate) fn write(verdict: &Verdict, summaries: &[Summary]) -> Result<(), Failure> {
    for summary in summaries {
        let text = match summary.format {
            SummaryFormat::Json => verdict.json()?,
            SummaryFormat::Junit => junit::xml(verdict),
        };
        match &summary.file {
            Some(path) => std::fs::write(path, text).map_err(files::unwritten(path))?,
            None => match console::summary(&text) {
                // As with the report: a reader that has gone away wants no more.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    return Err(Failure::Outside(format!("the summary on standard output: {error}")));
                }
                _ => {}
            },
        }
    }
    Ok(())
}
