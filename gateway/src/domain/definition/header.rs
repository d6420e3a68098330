//! Reads the header of the stores file: the order of its columns, or each unexpected column.

use crate::domain::definition::node::shortened;
use crate::domain::nearest::closest;

/// The most columns of a wrong header that a message shows.
const SHOWN_MAX: usize = 20;

/// The names in the order of the header, each once: all `needed` ones, and any `optional` ones.
///
/// # Errors
///
/// What was found and what was expected, column by column.
pub(super) fn read<'k>(
    header: &csv::ByteRecord,
    needed: &[&'k str],
    optional: &[&'k str],
) -> Result<Vec<&'k str>, String> {
    let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
    let known = || needed.iter().chain(optional);
    let columns: Vec<_> =
        found.iter().filter_map(|name| known().find(|known| *known == name).copied()).collect();
    let absent: Vec<_> = known().filter(|name| !columns.contains(name)).copied().collect();
    let missing: Vec<_> = needed.iter().filter(|name| absent.contains(name)).copied().collect();
    if missing.is_empty() && columns.len() == found.len() && found.len() + absent.len() == known().count() {
        return Ok(columns);
    }
    if let [only] = &found[..]
        && let Some(other) = only.chars().find(|char| [';', '\t', '|'].contains(char))
    {
        let (columns, only) = (needed.join(","), shortened(only));
        return Err(format!(
            "expected {columns}; found {only:?}: separate columns by commas, not by {other:?}"
        ));
    }
    let mut what = format!(
        "expected the columns {}, and possibly {}; found {}",
        needed.join(", "),
        optional.join(", "),
        found.len()
    );
    for (n, name) in found.iter().enumerate().take(SHOWN_MAX) {
        what += if n == 0 { ": " } else { ", " };
        what += &format!("{:?}", shortened(name));
        if found[..n].contains(name) {
            what += " (again)";
        } else if !known().any(|known| known == name) {
            what += &match closest(name, &absent) {
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
