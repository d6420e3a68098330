//! Hands uPlot to the report's page (`src/report`), from where `npm ci` has put it for the live page. Without it the
//! build goes on, and the page says what is missing.

use std::path::Path;
use std::{env, fs};

/// Of uPlot's package: what is embedded, and as what.
const FILES: [(&str, &str); 2] = [("uPlot.iife.min.js", "uplot.js"), ("uPlot.min.css", "uplot.css")];

fn main() {
    let variable = |name: &str| env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let page = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../dashboards/live");
    let dist = page.join("node_modules/uplot/dist");
    let has_all = FILES.iter().all(|(file, _)| dist.join(file).is_file());
    println!("cargo::rerun-if-changed=build.rs");
    // What is not there can't be watched; what it would come with can.
    println!("cargo::rerun-if-changed={}", if has_all { dist.display() } else { page.display() });
    if !has_all {
        println!(
            "cargo::warning=reports are built without charts: run `npm ci --omit=dev` in dashboards/live for them"
        );
    }
    for (file, name) in FILES {
        let text = if has_all { fs::read(dist.join(file)) } else { Ok(Vec::new()) };
        let target = Path::new(&variable("OUT_DIR")).join(name);
        text.and_then(|text| fs::write(&target, text)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}
