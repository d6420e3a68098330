//! Unit tests of `sentinel.rs`.

use super::*;

fn read(url: &str) -> Result<Sentinels, String> {
    Sentinels::parse(url).map(Option::unwrap).map_err(|error| error.to_string())
}

#[test]
fn hosts_service_user_and_database_are_read_and_the_password_is_not_shown() {
    let read = read("redis+sentinel://gate:p%40ss@a,b:26380,[::1]/ledger?db=2").unwrap();
    let hosts: Vec<String> = read.all.iter().map(|info| info.addr().to_string()).collect();
    assert_eq!(hosts, ["a:26379", "b:26380", "::1:26379"]);
    assert_eq!((read.service.as_str(), read.has_tls), ("ledger", false));
    let settings = &read.primary;
    assert_eq!((settings.username(), settings.password(), settings.db()), (Some("gate"), Some("p@ss"), 2));
    assert_eq!(read.shown, "redis+sentinel://a,b:26380,[::1]/ledger");
    assert!(["redis://a:1", "unix:/x"].iter().all(|url| Sentinels::parse(url).unwrap().is_none()));
}

#[test]
fn an_invalid_url_is_refused_with_the_reason() {
    for (bad, words) in [
        ("valkey+sentinel://a/ledger", "neither"),
        ("redis+sentinel://a", "names no service"),
        ("redis+sentinel://a/", "names no service"),
        ("redis+sentinel:///ledger", "names no sentinel"),
        ("redis+sentinel://a/ledger?db=x", "not a number"),
        ("redis+sentinel://a/ledger?x=1", "something other"),
    ] {
        assert!(read(bad).err().unwrap().contains(words), "{bad}");
    }
    assert!(read("rediss+sentinel://a/ledger").unwrap().has_tls);
}
