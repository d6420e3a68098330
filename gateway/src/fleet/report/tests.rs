//! Unit tests of `report.rs`.

use super::*;

#[test]
fn versions_are_counted_and_an_unreadable_report_counts_as_another() {
    let reports = [("a", r#"{"version":"1"}"#), ("b", r#"{"version":"1"}"#), ("c", "?")];
    let reports = reports.map(|(id, report)| (id.to_owned(), report.to_owned()));
    assert_eq!(versions(&parse(reports.into())), 2);
    assert_eq!(versions(&Reports::new()), 0);
}
