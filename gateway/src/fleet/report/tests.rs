use super::*;

#[test]
fn versions_are_counted_and_a_report_that_can_not_be_read_is_one_of_its_own() {
    let reports = [("a", r#"{"version":"1"}"#), ("b", r#"{"version":"1"}"#), ("c", "?")];
    let reports = reports.map(|(id, report)| (id.to_owned(), report.to_owned()));
    assert_eq!(versions(&reports.into()), 2);
    assert_eq!(versions(&BTreeMap::new()), 0);
}
