//! Checks that TOML with CSV is accepted and refused like JSON, and that every mistake names an
//! existing file and line. A line `--- stores.csv` separates the two files.

use std::path::PathBuf;
use std::sync::OnceLock;

use gateway::domain::definition::Definition;

use super::definition_json::{are_bounded, holds};

const BETWEEN: &[u8] = b"--- stores.csv\n";

pub(super) fn run(bytes: &[u8]) {
    let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
    let (toml, csv) = at.map_or((bytes, &b""[..]), |at| (&bytes[..at], &bytes[at + BETWEEN.len()..]));
    let folder = folder();
    let path = folder.join("sale.toml");
    for (file, content) in [(&path, toml), (&folder.join("stores.csv"), csv)] {
        std::fs::write(file, content).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    match Definition::load(&path) {
        Ok(definition) => holds(definition),
        Err(mistakes) => {
            are_bounded(&mistakes);
            for mistake in &mistakes {
                let Some(place) = mistake.place.strip_prefix(&format!("{}/", folder.display())) else {
                    assert!(mistake.place.is_empty(), "{mistake}");
                    continue;
                };
                let Some((file, line)) = place.rsplit_once(':') else {
                    continue;
                };
                let text = if file == "sale.toml" { toml } else { csv };
                let lines = text.iter().filter(|b| **b == b'\n').count() + 1;
                let line: usize = line.parse().unwrap_or_else(|_| panic!("{mistake}"));
                assert!((1..=lines).contains(&line), "{mistake}, but there are {lines} lines");
            }
        }
    }
}

/// One folder for each process, since files are overwritten; in TMPDIR, which `scripts/fuzz`
/// removes.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let made = tempfile::tempdir();
        made.unwrap_or_else(|e| panic!("no temporary folder: {e}")).keep()
    })
}
