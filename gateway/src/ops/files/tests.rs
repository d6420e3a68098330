//! Unit tests of `files.rs`.

use super::*;

#[test]
fn a_rejected_file_has_an_alarm_until_it_can_be_used() {
    let files = WatchedFiles::default();
    files.set("auth-jwks-file", Vec::new(), false);
    files.set("ops-token-file", Vec::new(), false);
    assert_eq!((files.alarms(), files.rejected().len()), (Vec::new(), 2));
    files.set("auth-jwks-file", vec!["line 1: not JSON".to_owned()], false);
    assert_eq!(files.rejected(), [("auth-jwks-file", true), ("ops-token-file", false)]);
    let alarms = files.alarms();
    assert_eq!((alarms.len(), alarms[0].name.as_str()), (1, "file-rejected"));
    assert!(alarms[0].text.contains("--auth-jwks-file") && alarms[0].text.contains("line 1"), "{alarms:?}");
    files.set("auth-jwks-file", Vec::new(), false);
    assert_eq!(files.alarms(), []);
}
