//! Unit tests of `goose.rs`.

use super::*;

#[test]
fn the_verdict_comes_first_as_text() {
    let page = format!("<html><body>{TITLE}<p>x</p></body></html>");
    let dressed = dressed(&page, "FAIL: <script>").unwrap();
    assert!(dressed.contains("<b>FAIL: &lt;script&gt;</b>"));
    assert!(dressed.ends_with("</script>\n</body></html>"));
}

#[test]
fn another_page_is_left_alone() {
    assert_eq!(dressed("<html></html>", "PASS"), None);
}

#[test]
fn a_run_without_a_report_has_none() {
    let dir = tempfile::tempdir().unwrap();
    dress(dir.path(), "PASS").unwrap();
    assert!(!dir.path().join(GOOSE).exists());
}

#[test]
fn a_report_of_goose_is_dressed_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(GOOSE);
    std::fs::write(&path, format!("<html><body>{TITLE}</body></html>")).unwrap();
    dress(dir.path(), "PASS").unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("<b>PASS</b>"));
}
