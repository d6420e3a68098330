//! Unit tests of `span.rs`.

use super::*;

#[test]
fn spans_are_read() {
    assert_eq!(parse("90s"), Ok(Duration::from_secs(90)));
    assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
    assert_eq!(parse("15"), Ok(Duration::from_secs(15)));
    assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
    assert!(parse("soon").is_err() && parse("-1s").is_err());
}

#[test]
fn an_exact_text_reads_back() {
    for (ns, text) in
        [(0, "0s"), (90_000_000_000, "90s"), (1_500_000_000, "1500ms"), (7_000, "7us"), (1, "1ns")]
    {
        let span = Duration::from_nanos(ns);
        assert_eq!((exact(span).as_str(), parse(text)), (text, Ok(span)));
    }
}

#[test]
fn spans_are_formatted() {
    for (ns, text) in [
        (0, "0 µs"),
        (340_499, "340 µs"),
        (999_499, "999 µs"),
        (999_500, "1.0 ms"),
        (1_234_000, "1.2 ms"),
        (340_000_000, "340 ms"),
        (2_500_000_000, "2.5 s"),
        (90_000_000_000, "90 s"),
    ] {
        assert_eq!(words(Duration::from_nanos(ns)), text);
    }
}
