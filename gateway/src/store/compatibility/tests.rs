//! Unit tests of `compatibility.rs`.

use super::*;

#[test]
fn versions_before_the_flags_of_scripts_are_too_old() {
    let reply = |version: &str| too_old(&HashMap::from([("redis_version".to_owned(), version.to_owned())]));
    assert!(reply("6.2.14").unwrap().contains("6.2.14 is too old"));
    for fine in ["7.0.0", "7.2.4", "8.0.1", "10.1.0", "unstable"] {
        assert_eq!(reply(fine), None, "{fine}");
    }
}
