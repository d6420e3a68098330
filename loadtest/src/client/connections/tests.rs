//! Unit tests of `connections.rs`.

use super::*;

#[test]
fn connections_are_read() {
    let shared = |number| Ok(Connections::Shared(number));
    for (text, expected) in [
        ("own", Ok(Connections::Own)),
        ("cold", Ok(Connections::Cold)),
        ("shared", shared(None)),
        ("shared:30", shared(Some(30))),
        ("30", shared(Some(30))),
    ] {
        assert_eq!(Connections::parse(text), expected, "{text}");
    }
    for wrong in ["", "0", "shared:0", "shared:", "own:3", "-1", "pooled"] {
        assert!(Connections::parse(wrong).is_err(), "{wrong}");
    }
}

fn share(asked: Option<Connections>, descriptors: usize, ports: usize) -> Result<Share, String> {
    let buyers = vec![(Scenario::CROWD, 10), (Scenario::LOOK, 3)];
    Wanted::of(asked, &buyers, 50).within(asked, descriptors, (ports, 1))
}

#[test]
fn those_who_tap_have_their_own_and_readers_share() {
    let plan = |asked| share(asked, 1000, 1000).unwrap();
    let numbers = |share: Share| (share.own, share.shared);
    assert_eq!(numbers(plan(None)), (15, 6));
    assert_eq!(numbers(plan(Some(Connections::Shared(Some(4))))), (0, 4));
    assert_eq!(numbers(plan(Some(Connections::Shared(Some(4000))))), (0, 26));
    assert_eq!(numbers(plan(Some(Connections::Own))), (20, 1));
    assert_eq!(numbers(plan(Some(Connections::Cold))), (20, 1));
    // Half of what is left.
    assert_eq!(numbers(share(None, DESCRIPTORS_SPARE + 15 + 4, 1000).unwrap()), (15, 2));
}

#[test]
fn more_buyers_than_descriptors_or_ports_are_refused_with_what_to_do() {
    let error = share(None, DESCRIPTORS_SPARE + 14, 1000).unwrap_err();
    assert!(error.contains("10 buyers") && error.contains("need 215 descriptors"), "{error}");
    assert!(error.contains("--connections shared:N") && error.contains("may have 214"), "{error}");
    let error = share(None, 1000, 14).unwrap_err();
    assert!(error.contains("need 15 local ports") && error.contains("ip_local_port_range"), "{error}");
    assert!(share(Some(Connections::Shared(None)), 300, 1).is_ok(), "who shares waits");
}
