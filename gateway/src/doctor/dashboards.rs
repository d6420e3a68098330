//! Do rules and dashboards ask for metrics that this binary has? Reads the files under a folder, and looks for names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::doctor::report::{Finding, Findings};
use crate::doctor::words::some;
use crate::telemetry::list::{self, MetricKind};

/// Files that are looked at, how deep folders go, and bytes of a file.
const FILES_MAX: usize = 1_000;
const DEPTH_MAX: usize = 8;
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Names of a load test's own metrics, which are not ours.
const LOADTEST: &str = "launchgate_loadtest_";
/// What all of ours begin with.
const OURS: &str = "launchgate_";

/// Every check of the files under this folder.
pub(super) fn check(folder: &Path) -> Vec<Finding> {
    let mut lines = Findings::of("dashboards");
    let mut files = Vec::new();
    if let Err(why) = collect(folder, 0, &mut files) {
        lines.fail(
            "files",
            format!("{} can't be read: {why}", folder.display()),
            "name the folder with --dashboards",
        );
        return lines.end();
    }
    if files.len() > FILES_MAX {
        let found = format!("{} has more than {FILES_MAX} files", folder.display());
        lines.fail("files", found, "name the folder of rules and dashboards only, with --dashboards");
        return lines.end();
    }
    let known = names();
    let mut used = BTreeSet::new();
    let mut unknown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in &files {
        let shown = file.strip_prefix(folder).unwrap_or(file).display().to_string();
        match read(file) {
            Ok(text) => {
                for name in mentioned(&text) {
                    if known.contains(name) {
                        used.insert(name.to_owned());
                    } else {
                        unknown.entry(name.to_owned()).or_default().insert(shown.clone());
                    }
                }
            }
            Err(why) => lines.fail(
                "files",
                format!("{shown}: {why}"),
                "mend it: Prometheus or Grafana can't load it, either",
            ),
        }
    }
    for (name, places) in &unknown {
        let places: Vec<&String> = places.iter().collect();
        let found = format!("{name} is no metric of this binary; it is asked for in {}", some(&places));
        lines.fail(
            "metrics",
            found,
            "take the dashboards of this version, or correct it: `gateway metrics` lists all",
        );
    }
    if used.is_empty() && unknown.is_empty() {
        let found = format!("no file under {} asks for a metric of a gateway", folder.display());
        lines.fail("files", found, "name the folder of rules and dashboards with --dashboards");
    } else if unknown.is_empty() {
        lines.ok("metrics", format!("{} names in {} files, all of this binary", used.len(), files.len()));
    }
    lines.end()
}

/// Every name that a query can have.
fn names() -> BTreeSet<String> {
    let parts = |metric: &list::Metric| match metric.kind {
        MetricKind::Histogram => {
            ["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", metric.name)).to_vec()
        }
        _ => vec![metric.name.to_owned()],
    };
    list::ALL.iter().flat_map(parts).collect()
}

/// Rules and dashboards, in order.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let is_ours =
            path.extension().is_some_and(|end| ["yml", "yaml", "json"].iter().any(|known| end == *known));
        if kind.is_dir() && depth < DEPTH_MAX {
            collect(&path, depth + 1, files)?;
        } else if kind.is_file() && is_ours {
            files.push(path);
        }
        if files.len() > FILES_MAX {
            break;
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<String, String> {
    let (bytes, _) = crate::identify::read_limited(file, "file", FILE_BYTES_MAX)?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    if file.extension().is_some_and(|end| end == "json") {
        serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|e| format!("is no JSON: {e}"))?;
    }
    Ok(text)
}

/// The names of gateways' metrics in a text.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    text.split(move |c| !is_part(c)).filter(|word| word.starts_with(OURS) && !word.starts_with(LOADTEST))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
