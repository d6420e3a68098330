//! Sizes, times and counts as people read them.

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
    let told =
        parts.iter().skip(first).take(2).filter(|(_, n)| *n > 0).map(|(unit, n)| format!("{n} {unit}"));
    let told: Vec<String> = told.collect();
    if told.is_empty() { "0 s".to_owned() } else { told.join(" ") }
}

/// The first few of a list, and how many more there are.
pub(super) fn some<T: AsRef<str>>(list: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = list.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match list.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_short() {
        assert_eq!(
            [0, 1_023, 1_024, 1_610_612_736].map(bytes),
            ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB"]
        );
        assert_eq!(
            [0, 59, 60, 3_661, 86_400, 90_061].map(age),
            ["0 s", "59 s", "1 min", "1 h 1 min", "1 d", "1 d 1 h"]
        );
        assert_eq!(some(&["a", "b"]), "a, b");
        assert_eq!(some(&["a"; 7]), "a, a, a, a, a and 2 more");
    }
}
