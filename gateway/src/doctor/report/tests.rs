//! Unit tests of `report.rs`.

use super::*;

fn report() -> DoctorReport {
    let mut redis = Findings::of("redis");
    redis.ok("version", "7.0.15");
    redis.warn("fsync", "everysec\u{1b}[2J\nforged", "set it");
    let mut sale = Findings::of("sale small");
    sale.fail("dates", "over", "apply it anew");
    DoctorReport::new([redis.end(), sale.end()].concat())
}

#[test]
fn lines_are_aligned_and_have_the_fix() {
    assert_eq!(
        report().text(false),
        "ok    redis       version  7.0.15\n\
         warn  redis       fsync    everysec [2J forged → set it\n\
         FAIL  sale small  dates    over → apply it anew\n\
         1 ok, 1 warn, 1 fail\n"
    );
    let coloured = report().text(true);
    assert!(coloured.contains("\u{1b}[32mok  \u{1b}[0m  redis"), "{coloured:?}");
    assert_eq!(coloured.matches('\u{1b}').count(), 6);
}

#[test]
fn the_worst_line_is_the_verdict() {
    assert_eq!(report().verdict, Severity::Fail);
    assert_eq!(DoctorReport::new(Vec::new()).verdict, Severity::Ok);
    let mut lines = Findings::of("x");
    lines.add(Severity::Ok, "a", "b", "c");
    lines.add(Severity::Warn, "a", "b", "c");
    let report = DoctorReport::new(lines.end());
    assert_eq!((report.verdict, report.lines[0].todo.as_deref()), (Severity::Warn, None));
}

#[test]
fn differences_are_found_and_nothing_else() {
    let one = r#"{"a": 1, "b": [{"c": 1}, 2], "d": null}"#;
    assert_eq!(differing(one, r#"{"d": null, "b": [{"c": 1}, 2], "a": 1}"#), Vec::<String>::new());
    assert_eq!(differing(one, r#"{"a": 2, "b": [{"c": 3}], "e": 1}"#), ["/a", "/b/0/c", "/b/1", "/e"]);
}

#[test]
fn sizes_and_times_are_short() {
    assert_eq!([0, 1_023, 1_024, 1_610_612_736].map(bytes), ["0 bytes", "1023 bytes", "1.0 KiB", "1.5 GiB"]);
    assert_eq!(
        [0, 59, 60, 3_661, 86_400, 90_061].map(age),
        ["0 s", "59 s", "1 min", "1 h 1 min", "1 d", "1 d 1 h"]
    );
    assert_eq!(some(&["a", "b"]), "a, b");
    assert_eq!(some(&["a"; 7]), "a, a, a, a, a and 2 more");
}
