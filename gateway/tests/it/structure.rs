//! Checks the layers of `ARCHITECTURE.md`: a file imports only from its own module and from lower layers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

const PAGE: &str = include_str!("../../ARCHITECTURE.md");

/// The layer of each module, 0 the lowest, from the table below this heading: `| 3 | `store` | … |`.
fn layers<'p>(page: &'p str, heading: &str) -> BTreeMap<&'p str, usize> {
    let mut layers = BTreeMap::new();
    let (_, section) = page.split_once(&format!("### `{heading}`\n")).expect("a heading");
    for line in section.lines().take_while(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, layer, module, _, _] = cells[..] else { continue };
        let (Ok(layer), Some(module)) = (layer.parse(), module.strip_prefix('`')) else { continue };
        let twice = layers.insert(module.trim_end_matches('`'), layer);
        assert_eq!(twice, None, "{module} has two layers");
    }
    layers
}

/// Every Rust file below a folder: its path from there, and its text.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The top-level module of a file: `store` for `store/connection.rs` and `store.rs`.
fn module_of(file: &str) -> &str {
    let end = file.find(['/', '.']).unwrap_or(file.len());
    &file[..end]
}

/// The modules that a line of this file names: after `crate::`, or after enough `super::` to reach the crate's root.
fn named<'l>(file: &str, line: &'l str) -> Vec<&'l str> {
    let depth = file.matches('/').count() + 1;
    let to_root = "super::".repeat(depth);
    let word = |rest: &'l str| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..end]
    };
    let mut modules = Vec::new();
    for start in ["crate::", &to_root] {
        for (at, _) in line.match_indices(start) {
            let is_path_start = !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == ':' || c == '_');
            let rest = &line[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(list) if is_path_start => modules.extend(list.split(',').map(|one| word(one.trim()))),
                None if is_path_start => modules.push(word(rest)),
                _ => {}
            }
        }
    }
    modules
}

/// Lists the forbidden imports of these files, one a line.
fn offences(files: &[(String, String)], layers: &BTreeMap<&str, usize>) -> String {
    let mut offences = String::new();
    for (file, text) in files {
        let from = module_of(file);
        let Some(layer) = layers.get(from) else {
            let _ = writeln!(offences, "{file}: the module `{from}` has no layer");
            continue;
        };
        for (line, number) in text.lines().zip(1..) {
            if line.trim_end().ends_with("crate::{") {
                let _ = writeln!(offences, "{file}:{number}: import from one module a line");
            }
            for to in named(file, line) {
                if to != from && layers.get(to).is_some_and(|other| other >= layer) {
                    let line = line.trim();
                    let _ = writeln!(offences, "{file}:{number}: `{from}` is not above `{to}`: {line}");
                }
            }
        }
    }
    offences
}

#[test]
fn every_module_imports_from_lower_layers_only() {
    for folder in ["gateway/src", "loadtest/src"] {
        let layers = layers(PAGE, folder);
        let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder));
        let offences = offences(&files, &layers);
        assert!(offences.is_empty(), "{folder}, see the layers in ARCHITECTURE.md:\n{offences}");
        // Every module in the table exists.
        let is_gone = |name: &&&str| files.iter().all(|(file, _)| module_of(file) != **name);
        let gone: Vec<_> = layers.keys().filter(is_gone).collect();
        assert!(gone.is_empty(), "ARCHITECTURE.md has layers of {folder} for missing modules {gone:?}");
    }
}

#[test]
fn an_upward_import_and_a_circle_are_found() {
    let table = "### `src`\n\n| layer | module | |\n| --- | --- | --- |\n| 3 | `api` | a |\n| 2 | `fleet` | b |\n| 2 | `http` | c |";
    let page = format!("{table}\n| 1 | `store` | d |\n\n### `other`\n\n| 9 | `store` | e |\n");
    let layers = layers(&page, "src");
    assert_eq!(layers.len(), 4);
    let found =
        |file: &str, line: &str| offences(&[(file.to_owned(), format!("//! A file.\n{line}\n"))], &layers);
    for (file, fine) in [
        ("api/route.rs", "use crate::store::keys::Keys;"),
        ("api/route.rs", "use super::view::View;"),
        ("store/connection.rs", "use crate::store::keys::Keys;"),
        ("store/connection.rs", "    let keys = other_crate::api::keys();"),
        ("fleet.rs", "use std::{io, net};"),
    ] {
        assert_eq!(found(file, fine), "", "{file}: {fine}");
    }
    for (file, upward) in [
        ("store/connection.rs", "use crate::api::route::Route;"),
        ("store.rs", "    pub(crate) fn f(of: &crate::http::Peer) {"),
        ("store/connection.rs", "use super::super::http::Peer;"),
        ("store/link/tests.rs", "use super::super::super::{keys, api};"),
        ("store/connection.rs", "use crate::{domain, http::Peer};"),
    ] {
        let found = found(file, upward);
        assert!(found.starts_with(&format!("{file}:2: `store` is not above")), "{upward}: {found:?}");
    }
    assert_eq!(
        found("store/connection.rs", "use crate::{"),
        "store/connection.rs:2: import from one module a line\n"
    );
    // Modules on one layer cannot import each other.
    let circle = [
        ("fleet.rs".to_owned(), "use crate::http::peer::Peer;".to_owned()),
        ("http/peer.rs".to_owned(), "use crate::fleet::Members;".to_owned()),
        ("loose.rs".to_owned(), String::new()),
    ];
    let expected = "fleet.rs:1: `fleet` is not above `http`: use crate::http::peer::Peer;\n\
                    http/peer.rs:1: `http` is not above `fleet`: use crate::fleet::Members;\n\
                    loose.rs: the module `loose` has no layer\n";
    assert_eq!(offences(&circle, &layers), expected);
}
