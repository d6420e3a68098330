//! Writes the distributions of latencies as `.hgrm` files, which the plotters of HDR histograms read.

use std::fmt::Write;
use std::path::Path;

use crate::base::failure::Failure;
use crate::base::files::unwritten;
use crate::base::outcome::Outcome;
use crate::base::span::ms;
use crate::figures::{Figures, Latency, Population};
use crate::load::output::HDR;

/// A file for each request, each outcome of honest buyers, each scenario's journeys, and the lateness of starts.
pub(crate) fn write(dir: &Path, figures: &Figures) -> Result<(), Failure> {
    let mut all: Vec<(String, Latency)> = Vec::new();
    for (name, requests) in &figures.requests {
        all.push((format!("request-{name}"), requests.latency(Population::Sent)));
    }
    for outcome in Outcome::ALL {
        all.push((format!("outcome-{}", outcome.name()), figures.honest(|own| own == outcome)));
    }
    for (scenario, latency) in &figures.journeys {
        all.push((format!("journey-{}", scenario.name()), latency.clone()));
    }
    all.push(("start-lateness".to_owned(), figures.lateness.clone()));
    let folder = dir.join(HDR);
    std::fs::create_dir_all(&folder).map_err(unwritten(&folder))?;
    for (name, latency) in all.iter().filter(|(_, latency)| latency.count() > 0) {
        let path = folder.join(format!("{}.hgrm", file_name(name)));
        std::fs::write(&path, hgrm(latency)).map_err(unwritten(&path))?;
    }
    Ok(())
}

/// As the first of these libraries writes it, in milliseconds. Its last line has no fourth number, which is infinite.
fn hgrm(latency: &Latency) -> String {
    let mut text =
        format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for (value, quantile, count) in latency.distribution() {
        let _ = write!(text, "{:>12.3} {quantile:.12} {count:>10}", ms(value));
        if quantile < 1.0 {
            let _ = write!(text, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let [mean, max] = [latency.mean(), latency.max()].map(|value| ms(value.unwrap_or_default()));
    let (deviation, count) = (ms(latency.deviation()), latency.count());
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {count:>12}]");
    text
}

/// A name that every file system has; no two names become one.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for byte in name.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => safe.push(char::from(byte)),
            byte => _ = write!(safe, "%{byte:02X}"),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
