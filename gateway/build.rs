//! Embeds the live page (`dashboards/live`) into the gateway: its own files, and the chart library that
//! `npm ci` installs. Without the library the build continues, and the page reports it as missing.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The page's own files. `index.html` is `/`, the others are below `/live/`.
const FILES: [&str; 16] = [
    "index.html",
    "style.css",
    "icon.svg",
    "js/main.js",
    "js/alarms.js",
    "js/charts.js",
    "js/clock.js",
    "js/dom.js",
    "js/meanings.js",
    "js/operator-actions.js",
    "js/numbers.js",
    "js/panels.js",
    "js/rings.js",
    "js/stream.js",
    "js/tone.js",
    "js/wall.js",
];
/// Files of uPlot's package, and their embedded names.
const CHARTS: [(&str, &str); 2] = [("uPlot.esm.js", "uplot.js"), ("uPlot.min.css", "uplot.css")];

fn main() {
    let page = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../dashboards/live");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    let charts = page.join("node_modules/uplot/dist");
    let has_charts = CHARTS.iter().all(|(file, _)| charts.join(file).is_file());
    if !has_charts {
        // A missing file can't be watched; the folder that it would appear in can.
        println!("cargo::rerun-if-changed={}", page.display());
        println!(
            "cargo::warning=the live page is built without charts: run `npm ci --omit=dev` in dashboards/live for them"
        );
    }
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for file in FILES {
        let path = page.join(file);
        println!("cargo::rerun-if-changed={}", path.display());
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        files.push((file.trim_start_matches("js/").to_owned(), bytes));
    }
    for (file, name) in CHARTS {
        let path = charts.join(file);
        let missing: &[u8] = if name.ends_with(".js") { b"export default null;\n" } else { b"/* none */\n" };
        let bytes = if has_charts {
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        } else {
            missing.to_vec()
        };
        files.push((name.to_owned(), bytes));
    }
    let mut hasher = DefaultHasher::new();
    files.iter().for_each(|(_, bytes)| hasher.write(bytes));
    let edition = format!("{:016x}", hasher.finish());

    let mut code = String::from("static ASSETS: &[Asset] = &[\n");
    for (n, (name, bytes)) in files.iter_mut().enumerate() {
        if name == "index.html" {
            *bytes = String::from_utf8_lossy(bytes).replace("{{edition}}", &edition).into_bytes();
        }
        let path = if name == "index.html" { "/".to_owned() } else { format!("/live/{name}") };
        let content_type = match name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        };
        let embedded = out.join(format!("live-{n}"));
        fs::write(&embedded, &*bytes).unwrap_or_else(|error| panic!("{}: {error}", embedded.display()));
        // Writing into a String can't fail.
        let _ = writeln!(
            code,
            "    Asset {{ path: {path:?}, content_type: {content_type:?}, bytes: include_bytes!({embedded:?}) }},"
        );
    }
    let _ = writeln!(
        code,
        "];\npub(super) const HAS_CHARTS: bool = {has_charts};\npub(super) const EDITION: &str = {edition:?};"
    );
    let target = out.join("live_page.rs");
    fs::write(&target, code).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"))
}
