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

#[test]
fn those_who_tap_have_their_own_and_readers_share() {
    let buyers = vec![(Scenario::CROWD, 10), (Scenario::LOOK, 3)];
    let plan = |asked| Share::plan(asked, &buyers, 50, 1).unwrap();
    assert_eq!(plan(None), Share { own: 15, shared: 6 });
    assert_eq!(plan(Some(Connections::Shared(Some(4)))), Share { own: 0, shared: 4 });
    assert_eq!(plan(Some(Connections::Shared(Some(4000)))), Share { own: 0, shared: 26 });
    assert_eq!(plan(Some(Connections::Own)), Share { own: 20, shared: 1 });
    assert_eq!(plan(Some(Connections::Cold)), Share { own: 20, shared: 1 });
}

#[test]
fn more_buyers_than_descriptors_or_ports_are_refused_with_what_to_do() {
    let error = Share::plan(None, &vec![(Scenario::SPIKE, usize::MAX / 1000)], 0, 1).unwrap_err().to_string();
    assert!(error.contains("descriptors") && error.contains("--connections shared:N"), "{error}");
}
