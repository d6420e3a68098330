//! Unit tests of `cluster.rs`.

use super::*;

fn read(url: &str) -> Result<Cluster, String> {
    Cluster::parse(url, REFRESH_INTERVAL).map(Option::unwrap).map_err(|error| error.to_string())
}

#[test]
fn hosts_and_user_are_read_and_the_password_is_not_shown() {
    let cluster = read("redis+cluster://gate:p%40ss@a,b:7001,[::1]:7002/0").unwrap();
    let hosts: Vec<String> = cluster.seeds.iter().map(|seed| seed.addr().to_string()).collect();
    assert_eq!(hosts, ["a:6379", "b:7001", "::1:7002"]);
    let settings = cluster.seeds[1].redis_settings();
    assert_eq!((settings.username(), settings.password()), (Some("gate"), Some("p@ss")));
    assert_eq!(cluster.shown, "redis+cluster://a,b:7001,[::1]:7002");
    assert!(Cluster::parse("redis://a:1", REFRESH_INTERVAL).unwrap().is_none());
    let cluster = read("rediss+cluster://a").unwrap();
    assert!(matches!(cluster.seeds[0].addr(), ConnectionAddr::TcpTls { insecure: false, .. }));
}

#[test]
fn an_invalid_url_is_refused_with_the_reason() {
    for (bad, words) in [
        ("valkey+cluster://a", "neither"),
        ("redis+cluster://", "names no node"),
        ("redis+cluster://,/", "names no node"),
        ("redis+cluster://a/2", "no databases"),
        ("redis+cluster://a?db=2", "no databases"),
    ] {
        assert!(read(bad).err().unwrap().contains(words), "{bad}");
    }
}
