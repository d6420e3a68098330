//! Unit tests of `transport.rs`.

use super::*;

#[test]
fn a_field_is_read_and_what_requests_have_themselves_is_refused() {
    let field = Field::parse("X-App:  7 b ").unwrap();
    assert_eq!((field.name.as_str(), field.value.to_str().unwrap()), ("x-app", "7 b"));
    assert_eq!(Field::parse("User-Agent:app:7").unwrap().value, "app:7");
    for (text, reason) in [
        ("Authorization: Bearer x", "--auth-secret-file"),
        ("HOST: x", "--resolve"),
        ("Idempotency-Key: k", "its own"),
        ("Connection: close", "--connections"),
        ("X-Forwarded-For: 1.2.3.4", "--forwarded-for"),
        ("Accept-Encoding: gzip", "without compression"),
        ("no field", "NAME:VALUE"),
        ("a b: c", "not a valid name"),
        ("a: b\r\nc: d", "characters"),
    ] {
        let error = Field::parse(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_name_has_the_addresses_that_are_given() {
    let resolve = Resolve::parse("Gate.example:443:10.0.0.7,[2001:db8::7]").unwrap();
    assert!(resolve.is_of("gate.EXAMPLE", 443) && !resolve.is_of("gate.example", 80));
    assert_eq!(resolve.addresses.len(), 2);
    assert_eq!(Resolve::parse("a:80:2001:db8::7").unwrap().addresses.len(), 1);
    for wrong in ["a:80", "a:80:name", "a:x:10.0.0.7", ":80:10.0.0.7", "a:80:10.0.0.7,"] {
        assert!(Resolve::parse(wrong).is_err(), "{wrong}");
    }
    let transport = Transport { resolve: vec![resolve], ..Transport::default() };
    let mistakes = |gateway: &str| transport.mistakes(&[gateway.to_owned()]);
    assert_eq!(mistakes("https://gate.example/"), [""; 0]);
    assert_eq!(mistakes("https://gate.example:443"), [""; 0]);
    assert_eq!(mistakes("http://gate.example").len(), 1);
}

#[test]
fn each_buyer_has_an_address_of_the_network() {
    let network = Network::parse("198.18.7.9/15").unwrap();
    let address = |number| network.address(number).to_string();
    assert_eq!((&*address(0), &*address(258)), ("198.18.0.0", "198.18.1.2"));
    assert_eq!(address(131_072), address(0));
    assert_eq!(network.clients(), 131_072);
    let one = Network::parse("192.0.2.1").unwrap();
    assert_eq!((one.address(0), one.clients()), (one.address(9), 1));
    let all = Network::parse("0.0.0.0/0").unwrap();
    assert_eq!((all.address(258).to_string(), all.clients()), ("0.0.1.2".to_owned(), 1 << 32));
}

#[test]
fn buyers_of_ipv6_differ_in_what_limits_look_at() {
    let network = Network::parse("2001:db8::/48").unwrap();
    assert_eq!(network.address(258).to_string(), "2001:db8:0:102::");
    assert_eq!((network.address(65_536), network.clients()), (network.address(0), 65_536));
    let narrow = Network::parse("2001:db8::/120").unwrap();
    assert_eq!((narrow.address(258).to_string(), narrow.clients()), ("2001:db8::2".to_owned(), 1));
    assert_eq!(Network::parse("2001:db8::1/128").unwrap().address(5).to_string(), "2001:db8::1");
    for wrong in ["", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "::/129", "name/8"] {
        assert!(Network::parse(wrong).is_err(), "{wrong}");
    }
}
