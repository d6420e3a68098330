//! Unit tests of `dashboards.rs`.

use super::*;
use crate::doctor::report::Severity;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn verdicts(files: &[(&str, &str)]) -> Vec<(&'static str, Severity, String)> {
    let dir = folder(files);
    check(dir.path()).into_iter().map(|line| (line.check, line.verdict, line.found)).collect()
}

const RULE: &str =
    "expr: sum(rate(launchgate_requests_total[1m])) by (outcome) # launchgate_loadtest_anything";
const PANEL: &str = r#"{"expr": "histogram_quantile(0.99, sum by (le) (rate(launchgate_request_duration_seconds_bucket[5s])))"}"#;

#[test]
fn names_of_this_binary_pass() {
    let found =
        verdicts(&[("rules/a.yml", RULE), ("boards/b.json", PANEL), ("boards/notes.txt", "launchgate_x")]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].0, found[0].1), ("metrics", Severity::Ok));
    assert!(found[0].2.starts_with("2 names in 2 files"), "{found:?}");
}

#[test]
fn an_unknown_name_is_reported_with_its_file() {
    for wrong in
        ["launchgate_request_total", "launchgate_request_duration_seconds", "launchgate_taps_waiting_bucket"]
    {
        let text = format!(r#"{{"expr": "max({wrong}) / launchgate_taps_waiting"}}"#);
        let found = verdicts(&[("a.yaml", RULE), ("boards/b.json", &text)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].0, found[0].1), ("metrics", Severity::Fail));
        assert!(
            found[0].2.contains(&format!("{wrong} is not a metric")) && found[0].2.contains("boards/b.json")
        );
    }
}

#[test]
fn unreadable_and_empty_files_are_reported() {
    assert_eq!(verdicts(&[])[0].1, Severity::Fail);
    assert_eq!(verdicts(&[("a.yml", "groups: []")])[0].1, Severity::Fail);
    let broken = verdicts(&[("a.yml", RULE), ("b.json", "{")]);
    assert_eq!((broken[0].0, broken[0].1), ("files", Severity::Fail));
    assert!(broken[0].2.contains("b.json") && broken[0].2.contains("JSON"), "{broken:?}");
    assert_eq!(check(Path::new("/nowhere"))[0].verdict, Severity::Fail);
}
