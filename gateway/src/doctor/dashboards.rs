//! Checks that rules and dashboards use only metrics of this binary, by the names in the files under a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::doctor::report::{Finding, Findings, some};
use crate::telemetry::list::{self, MetricKind};

/// Bounds of the search: files, depth of folders, bytes of a file.
const FILES_MAX: usize = 1_000;
const DEPTH_MAX: usize = 8;
const FILE_BYTES_MAX: u64 = 16 << 20;
/// The prefixes of what a load test and a relay measure of themselves.
const OTHERS: [&str; 2] = ["launchgate_loadtest_", "launchgate_relay_"];
/// The prefix of the gateway's metrics.
const OURS: &str = "launchgate_";

/// Checks the files under this folder.
pub(super) fn check(folder: &Path) -> Vec<Finding> {
    let mut lines = Findings::of("dashboards");
    check_files(folder, &mut lines);
    lines.end()
}

fn check_files(folder: &Path, lines: &mut Findings) {
    let mut files = Vec::new();
    if let Err(why) = collect(folder, 0, &mut files) {
        let found = format!("{} can't be read: {why}", folder.display());
        return lines.fail("files", found, "name the folder with --dashboards");
    }
    if files.len() > FILES_MAX {
        let found = format!("{} has more than {FILES_MAX} files", folder.display());
        return lines.fail("files", found, "name the folder of rules and dashboards only, with --dashboards");
    }
    let names = metric_names();
    let (mut used, mut unknown) = (BTreeSet::new(), BTreeMap::<_, BTreeSet<_>>::new());
    for file in &files {
        let shown = file.strip_prefix(folder).unwrap_or(file).display().to_string();
        let text = read(file).unwrap_or_else(|why| {
            let todo = "fix the file: Prometheus or Grafana can't load it, either";
            lines.fail("files", format!("{shown}: {why}"), todo);
            String::new()
        });
        for name in mentioned(&text).map(ToOwned::to_owned) {
            if names.contains(&name) {
                used.insert(name);
            } else {
                unknown.entry(name).or_default().insert(shown.clone());
            }
        }
    }
    for (name, places) in &unknown {
        let places: Vec<&String> = places.iter().collect();
        let found = format!("{name} is not a metric of this binary; it is used in {}", some(&places));
        let todo = "use the dashboards of this version, or correct the name: `gateway metrics` lists all";
        lines.fail("metrics", found, todo);
    }
    if used.is_empty() && unknown.is_empty() {
        let found = format!("no file under {} uses a metric of a gateway", folder.display());
        lines.fail("files", found, "name the folder of rules and dashboards with --dashboards");
    } else if unknown.is_empty() {
        lines.ok("metrics", format!("{} names in {} files, all of this binary", used.len(), files.len()));
    }
}

/// Every name that a query can use.
fn metric_names() -> BTreeSet<String> {
    let parts = |metric: &list::Metric| match metric.kind {
        MetricKind::Histogram => {
            ["_bucket", "_sum", "_count"].map(|part| format!("{}{part}", metric.name)).to_vec()
        }
        _ => vec![metric.name.to_owned()],
    };
    list::ALL.iter().flat_map(parts).collect()
}

/// Collects rules and dashboards, in order.
fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type()?);
        let is_ours =
            path.extension().is_some_and(|end| ["yml", "yaml", "json"].iter().any(|ending| end == *ending));
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
        serde_json::from_str::<serde::de::IgnoredAny>(&text)
            .map_err(|e| format!("is not valid JSON: {e}"))?;
    }
    Ok(text)
}

/// The names of gateway metrics in a text.
fn mentioned(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    text.split(move |c| !is_part(c))
        .filter(|word| word.starts_with(OURS) && !OTHERS.iter().any(|other| word.starts_with(other)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
