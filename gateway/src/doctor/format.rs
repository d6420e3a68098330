//! Formats sizes, times, counts and differences for the report.

use std::collections::BTreeSet;

use serde_json::Value;

/// A size.
pub(super) fn bytes(n: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.into_iter().find(|(_, size)| n >= *size) {
        #[expect(clippy::cast_precision_loss, reason = "it is rounded to a tenth")]
        Some((unit, size)) => format!("{:.1} {unit}", n as f64 / size as f64),
        None => format!("{n} bytes"),
    }
}

/// A time in its two largest units.
pub(super) fn age(seconds: u64) -> String {
    let parts = [
        ("d", seconds / 86_400),
        ("h", seconds / 3_600 % 24),
        ("min", seconds / 60 % 60),
        ("s", seconds % 60),
    ];
    let first = parts.iter().position(|(_, n)| *n > 0).unwrap_or(parts.len() - 1);
    let listed =
        parts.iter().skip(first).take(2).filter(|(_, n)| *n > 0).map(|(unit, n)| format!("{n} {unit}"));
    let listed: Vec<String> = listed.collect();
    if listed.is_empty() { "0 s".to_owned() } else { listed.join(" ") }
}

/// The first few of a list, and the number of the rest.
pub(super) fn some<T: AsRef<str>>(list: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = list.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// As [`some`]; `None` for an empty list.
pub(super) fn any<T: AsRef<str>>(list: impl IntoIterator<Item = T>) -> Option<String> {
    let list = Vec::from_iter(list);
    (!list.is_empty()).then(|| some(&list))
}

/// The differences of two documents, as JSON pointers.
pub(super) fn differing(one: &str, other: &str) -> Vec<String> {
    fn collect_differences(at: &str, one: &Value, other: &Value, found: &mut Vec<String>) {
        let keys: Vec<String> = match (one, other) {
            (Value::Object(a), Value::Object(b)) => {
                a.keys().chain(b.keys()).collect::<BTreeSet<_>>().into_iter().cloned().collect()
            }
            (Value::Array(a), Value::Array(b)) => (0..a.len().max(b.len())).map(|n| n.to_string()).collect(),
            _ if one != other => return found.push(at.to_owned()),
            _ => return,
        };
        for key in keys.iter().map(|key| format!("/{key}")) {
            let of = |parent: &'_ Value| parent.pointer(&key).cloned().unwrap_or_default();
            collect_differences(&format!("{at}{key}"), &of(one), &of(other), found);
        }
    }
    let read = |text: &str| serde_json::from_str(text).unwrap_or_default();
    let mut found = Vec::new();
    collect_differences("", &read(one), &read(other), &mut found);
    found
}

#[cfg(test)]
mod tests;
