//! Finds the known name that is nearest to an unknown one.

/// Longer names are not compared.
const NAME_BYTES_MAX: usize = 64;

/// The known name that was probably meant. Case and hyphens do not count; a missing or extra suffix
/// is near.
pub(crate) fn closest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let name = name.to_ascii_lowercase().replace('-', "_");
    let extends = |a: &str, b: &str| b.len() >= 2 && a.starts_with(b);
    let near = |known: &&str| match distance(&name, known) {
        _ if extends(&name, known) || extends(known, &name) => Some(0),
        far @ 0..=2 if far * 2 <= known.len() => Some(far),
        _ => None,
    };
    known
        .iter()
        .filter_map(|known| near(known).map(|far| (far, *known)))
        .min_by_key(|(far, _)| *far)
        .map(|(_, known)| known)
}

/// The edit distance: letters to insert, delete or replace.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
// The load test includes this file by its path.
#[path = "nearest/tests.rs"]
mod tests;
