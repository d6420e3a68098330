//! Unit tests of `peer.rs`.

use hyper::header::HeaderValue;
use proptest::prelude::*;

use super::*;

fn trusted() -> TrustedProxies {
    TrustedProxies::parse(&["10.0.0.0/8", "192.0.2.7", "fd00::/16", "::ffff:172.16.0.0/108"]).unwrap()
}

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// The client as the proxy 10.0.0.1 forwards it.
fn client(lines: &[(&'static str, &str)]) -> String {
    client_address("10.0.0.1".parse().unwrap(), &headers(lines), &trusted()).to_string()
}

#[test]
fn lists_of_proxies_are_addresses_and_networks() {
    for (address, is_one) in [
        ("10.255.0.1", true),
        ("11.0.0.1", false),
        ("192.0.2.7", true),
        ("192.0.2.8", false),
        ("fd00::1", true),
        ("fd01::1", false),
        ("172.16.3.4", true),
        ("172.32.0.1", false),
    ] {
        assert_eq!(trusted().contain(address.parse().unwrap()), is_one, "{address}");
    }
    for bad in ["", "10.0.0.0/33", "10.0.0", "proxy.example", "fd00::/129", "10.0.0.1:80"] {
        assert!(
            TrustedProxies::parse(&[bad]).unwrap_err().contains("not a valid address or network"),
            "{bad}"
        );
    }
    assert!(TrustedProxies::parse::<&str>(&[]).unwrap().is_empty());
}

#[test]
fn the_first_untrusted_address_from_the_right_counts() {
    const X: &str = "x-forwarded-for";
    for (lines, result) in [
        (vec![(X, "203.0.113.9")], "203.0.113.9"),
        (vec![(X, "6.6.6.6, 203.0.113.9")], "203.0.113.9"),
        (vec![(X, "6.6.6.6, 203.0.113.9, 10.1.1.1,192.0.2.7")], "203.0.113.9"),
        (vec![(X, "6.6.6.6"), (X, "203.0.113.9"), (X, "10.1.1.1")], "203.0.113.9"),
        (vec![(X, "203.0.113.9:4711")], "203.0.113.9"),
        (vec![(X, "2001:DB8::1")], "2001:db8::1"),
        (vec![(X, "[2001:db8::1]:4711")], "2001:db8::1"),
        (vec![(X, "::ffff:203.0.113.9")], "203.0.113.9"),
        (vec![(X, "::ffff:10.1.1.1")], "10.1.1.1"),
        // All of them are proxies: the furthest one counts.
        (vec![(X, "10.3.3.3, 10.2.2.2")], "10.3.3.3"),
        // The search ends at a malformed entry.
        (vec![(X, "203.0.113.9, unknown, 10.2.2.2")], "10.2.2.2"),
        (vec![(X, "203.0.113.9, ")], "10.0.0.1"),
        (vec![(X, "203.0.113.9, fe80::1%eth0")], "10.0.0.1"),
        (vec![(X, "203.0.113.9, 1.2.3.4:")], "10.0.0.1"),
        (vec![], "10.0.0.1"),
        (vec![("forwarded", "for=203.0.113.9")], "203.0.113.9"),
        (vec![("forwarded", "For=\"[2001:db8:cafe::17]:4711\"")], "2001:db8:cafe::17"),
        (
            vec![("forwarded", "for=6.6.6.6, proto=https; FOR=203.0.113.9;by=\"a,b;for=7.7.7.7\"")],
            "203.0.113.9",
        ),
        (vec![("forwarded", "for=203.0.113.9;by=10.1.1.1"), ("forwarded", "for=10.1.1.1")], "203.0.113.9"),
        (vec![("forwarded", "for=203.0.113.9, for=_hidden, for=10.2.2.2")], "10.2.2.2"),
        (vec![("forwarded", "for=203.0.113.9, for=unknown")], "10.0.0.1"),
        (vec![("forwarded", "for=203.0.113.9, proto=https")], "10.0.0.1"),
        (vec![("forwarded", "for=203.0.113.9;for=203.0.113.8")], "10.0.0.1"),
        (vec![("forwarded", "for=\"203.0.113.9")], "10.0.0.1"),
        // A quotation mark that the client left open hides nothing that the proxy appended.
        (vec![("forwarded", "for=\"6.6.6.6, for=203.0.113.9")], "203.0.113.9"),
        (vec![("forwarded", "for=\"6.6.6.6\\, for=\"[2001:db8::1]\"")], "2001:db8::1"),
        // `Forwarded` alone counts where both are present, even if malformed.
        (vec![(X, "203.0.113.9"), ("forwarded", "for=203.0.113.8")], "203.0.113.8"),
        (vec![(X, "203.0.113.9"), ("forwarded", "nonsense")], "10.0.0.1"),
    ] {
        assert_eq!(client(&lines), result, "{lines:?}");
    }
}

#[test]
fn headers_of_an_untrusted_peer_are_ignored_and_a_long_chain_is_cut() {
    let lines = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "203.0.113.9")];
    for peer in ["198.51.100.1", "::ffff:198.51.100.1"] {
        let result = client_address(peer.parse().unwrap(), &headers(&lines), &trusted());
        assert_eq!(result.to_string(), "198.51.100.1");
        assert_eq!(Peer::new(peer.parse().unwrap(), &trusted()).client(&headers(&lines)), result);
    }
    let peer = |address: &str| Peer::new(address.parse().unwrap(), &trusted());
    let named = headers(&lines[1..]);
    assert!(peer("198.51.100.1").may_be_unlisted_proxy(&named));
    assert!(!peer("10.0.0.1").may_be_unlisted_proxy(&named), "it is listed");
    assert!(!peer("198.51.100.1").may_be_unlisted_proxy(&headers(&[])));
    let introduced = Peer::introduced("198.51.100.1".parse().unwrap(), &trusted());
    assert!(!introduced.may_be_unlisted_proxy(&named), "the PROXY header has named it");
    let long = format!("203.0.113.9{}", ", 10.9.9.9".repeat(HOPS_MAX));
    assert_eq!(client(&[("x-forwarded-for", &long)]), "10.9.9.9");
    let fits = format!("203.0.113.9{}", ", 10.9.9.9".repeat(HOPS_MAX - 1));
    assert_eq!(client(&[("x-forwarded-for", &fits)]), "203.0.113.9");
}

proptest! {
    #[test]
    fn the_entry_of_the_proxy_overrides_any_client_input(
        sent in "[ -~]{0,60}", name in 0..2_usize, address: IpAddr, on_a_line_of_its_own: bool,
    ) {
        let address = address.to_canonical();
        prop_assume!(!trusted().contain(address));
        let name = ["forwarded", "x-forwarded-for"][name];
        let added = match (name, address) {
            ("forwarded", IpAddr::V6(_)) => format!("proto=https;for=\"[{address}]:443\""),
            ("forwarded", IpAddr::V4(_)) => format!("for={address};proto=https"),
            _ => address.to_string(),
        };
        let result = if on_a_line_of_its_own {
            client(&[(name, &sent), (name, &added)])
        } else {
            client(&[(name, &format!("{sent}, {added}"))])
        };
        prop_assert_eq!(result, address.to_string());
    }

    #[test]
    fn malformed_headers_do_not_panic(sent in "[ -~]{0,200}", peer: IpAddr) {
        for name in ["forwarded", "x-forwarded-for"] {
            let result = client_address(peer, &headers(&[(name, &sent)]), &trusted());
            if !trusted().contain(peer.to_canonical()) {
                prop_assert_eq!(result, peer.to_canonical());
            }
        }
    }
}
