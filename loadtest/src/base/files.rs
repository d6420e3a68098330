//! Reads and writes the files of a report's folder.

use std::fmt::Display;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::failure::Failure;

/// Reads a file that the user names; an error says what to fix.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let wrong = |error: &dyn Display| Failure::Usage(format!("{}: {error}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    // As it is read: the run record of a soak of a day has 15 GB.
    serde_json::from_reader(std::io::BufReader::new(file)).map_err(|error| wrong(&error))
}

/// Writes JSON that people read, too.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = json(value).map_err(unwritten(path))?;
    std::fs::write(path, text).map_err(unwritten(path))
}

/// JSON that people read, too.
pub(crate) fn json(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n")
}

/// The failure to write a file.
pub(crate) fn unwritten<E: Display>(path: &Path) -> impl Fn(E) -> Failure {
    move |error| Failure::Outside(format!("{}: {error}", path.display()))
}
