//! Unit tests of `connection_caps.rs`.

use super::*;

fn caps(connections_max: usize, per_address_max: Option<usize>) -> Arc<ConnectionCaps> {
    Arc::new(ConnectionCaps::new(CapSettings { connections_max, per_address_max }))
}

fn of(caps: &Arc<ConnectionCaps>, address: &str) -> Result<ConnectionPermit, CapExceeded> {
    let mut open = caps.open()?;
    open.count_for(address.parse().unwrap())?;
    Ok(open)
}

#[test]
fn a_permit_comes_back_when_its_connection_ends() {
    let caps = caps(2, None);
    let (one, two) = (caps.open().unwrap(), caps.open().unwrap());
    assert_eq!(caps.open().err(), Some(CapExceeded::LISTENER));
    assert_eq!(caps.open().err(), Some(CapExceeded::LISTENER), "a refused one takes no permit");
    drop(one);
    let three = caps.open().unwrap();
    assert_eq!(caps.open().err(), Some(CapExceeded::LISTENER));
    drop((two, three));
    assert_eq!(caps.open.load(Relaxed), 0);
}

#[test]
fn one_address_has_its_share_and_ipv6_counts_by_the_first_64_bits() {
    let caps = caps(10, Some(2));
    for [same, also, third, other] in [
        ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"],
        ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:0:7::", "2001:db8:0:1::1"],
    ] {
        let kept = (of(&caps, same).unwrap(), of(&caps, also).unwrap());
        assert_eq!(of(&caps, third).err(), Some(CapExceeded::ADDRESS));
        let other = of(&caps, other).unwrap();
        assert_eq!(caps.open.load(Relaxed), 3, "a refused one takes no permit");
        drop(kept.0);
        let again = of(&caps, third).unwrap();
        drop((kept.1, other, again));
    }
    assert!(lock(&caps.by_address).is_empty(), "no entry outlives its connections");
}

#[test]
fn what_is_counted_for_no_address_is_bounded_by_the_listener_only() {
    let caps = caps(3, Some(1));
    let proxies: Vec<_> = (0..3).map(|_| caps.open().unwrap()).collect();
    assert_eq!(caps.open().err(), Some(CapExceeded::LISTENER));
    drop(proxies);
    assert!(of(&caps, "192.0.2.1").is_ok());
}

#[test]
fn the_log_has_one_line_for_many_refusals() {
    let caps = caps(3, Some(1));
    assert!(caps.may_log());
    assert!((0..1_000).all(|_| !caps.may_log()));
}
