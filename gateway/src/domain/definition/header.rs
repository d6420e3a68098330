//! Reads the header of the stores file: the order of its columns, or each unexpected column.

use crate::domain::definition::node::shortened;
use crate::domain::nearest::closest;

/// The most columns of a wrong header that a message shows.
const SHOWN_MAX: usize = 20;

/// The expected names in the order of the header, each once.
///
/// # Errors
///
/// What was found and what was expected, column by column.
pub(super) fn read<'k>(header: &csv::ByteRecord, known: &[&'k str]) -> Result<Vec<&'k str>, String> {
    let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
    let columns: Vec<_> =
        found.iter().filter_map(|name| known.iter().find(|known| *known == name).copied()).collect();
    let missing: Vec<_> = known.iter().filter(|name| !columns.contains(name)).copied().collect();
    if missing.is_empty() && found.len() == known.len() {
        return Ok(columns);
    }
    if let [only] = &found[..]
        && let Some(other) = only.chars().find(|char| [';', '\t', '|'].contains(char))
    {
        let (columns, only) = (known.join(","), shortened(only));
        return Err(format!(
            "expected {columns}; found {only:?}: separate columns by commas, not by {other:?}"
        ));
    }
    let mut what = format!("expected the columns {}; found {}", known.join(", "), found.len());
    for (n, name) in found.iter().enumerate().take(SHOWN_MAX) {
        what += if n == 0 { ": " } else { ", " };
        what += &format!("{:?}", shortened(name));
        if found[..n].contains(name) {
            what += " (again)";
        } else if !known.contains(&&**name) {
            what += &match closest(name, &missing) {
                Some(meant) => format!(" (unknown; is {meant} meant?)"),
                None => " (unknown)".to_owned(),
            };
        }
    }
    if found.len() > SHOWN_MAX {
        what += ", …";
    }
    if !missing.is_empty() {
        what += &format!("; missing: {}", missing.join(", "));
    }
    Err(what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
