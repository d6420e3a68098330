//! Unit tests of `address.rs`.

use super::*;

#[test]
fn valid_addresses_are_accepted() {
    for good in [
        "redis://h",
        "redis://h:6379/2",
        "redis://:p%2Fa%3F%23@h:6379",
        "rediss://u:p@a:s@h:6379/0?protocol=resp2",
        "redis://[::1]:6379",
        "unix:/run/redis.sock?db=2&user=u&pass=p/w",
        "unix:///run/redis.sock",
        "redis+sentinel://u:p@a,b:26380,[::1]:26379/ledger?db=1",
        "rediss+cluster://u:p@a,b:7000",
    ] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
}

#[test]
fn ambiguous_addresses_are_refused_without_showing_the_password() {
    for (bad, words) in [
        ("redis://u:hun/ter2@h:6379", "%2F"),
        ("redis://u:12/hunter2@h:6379", "%2F"),
        ("redis://u:12?hunter2@h:6379", "%3F"),
        ("redis://u:12#hunter2@h:6379", "%23"),
        ("redis+sentinel://u:hun/ter2@h:26379/ledger", "%2F"),
        ("redis+cluster://u:hun#ter2@h:7000", "%23"),
        ("redis://hunter2@h:6379", ":PASSWORD@HOST"),
        ("redis://u:hunter2", "not a port"),
        ("redis://h:0", "not a port"),
        ("redis://h:70000", "not a port"),
        ("redis+cluster://a:7000,b:hunter2", "not a port"),
        ("redis://h:6379/hunter2", "the number of a database"),
        ("redis://h:6379?db=2", "unknown"),
        ("redis://h:6379/0?protocol=resp3", "RESP2"),
        ("redis://h:6379/0?protocol=3", "RESP2"),
        ("unix:/run/redis.sock?protocol=resp3", "RESP2"),
        ("unix:/run/redis.sock?password=hunter2", "unknown"),
        ("rediss://h:6379#insecure", "--redis-ca-file"),
    ] {
        let why = check(bad).unwrap_err();
        assert!(why.contains(words), "{bad}: {why}");
        assert!(!why.contains("hun") && !why.contains("ter2"), "{bad}: {why}");
    }
}
