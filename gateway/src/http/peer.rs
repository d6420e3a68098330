//! Who a request comes from: the address that connected, or what proxies that are trusted say of it.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};
use ipnet::{IpNet, Ipv4Net};

/// Hops that are looked at, from the right. Chains of trusted proxies have two or three.
pub const HOPS_MAX: usize = 16;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Arc<[IpNet]>);

/// Proxies whose word on who the client is counts.
pub type TrustedProxies = Networks;

impl Networks {
    /// From addresses (`10.0.0.7`, `fd00::7`) and networks (`10.0.0.0/8`).
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, String> {
        let net = |text: &T| {
            let text = text.as_ref();
            let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map(canonical).map_err(|_| {
                format!("holds {text:?}, which is no address or network like 10.0.0.7 or 10.0.0.0/8")
            })
        };
        list.iter().map(net).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// Addresses are compared as IPv4 where they can be, so networks must be, too.
fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(prefix)) if net.addr().is_ipv6() => {
            Ipv4Net::new(address, prefix).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    address: IpAddr,
    /// If it is a trusted proxy itself, so that what it says of the client counts.
    proxies: Option<TrustedProxies>,
    /// Whether its first request names a client that does not count.
    names_client: OnceCell<bool>,
}

impl Peer {
    /// Who connected from this address, or was named by the PROXY protocol.
    #[must_use]
    pub fn new(address: IpAddr, proxies: &TrustedProxies) -> Self {
        let address = address.to_canonical();
        let proxies = proxies.contain(address).then(|| proxies.clone());
        Self { address, proxies, names_client: OnceCell::new() }
    }

    /// The client that the PROXY protocol names: what its requests say of a client is its own word.
    #[must_use]
    pub fn introduced(address: IpAddr, proxies: &TrustedProxies) -> Self {
        Self { names_client: OnceCell::from(false), ..Self::new(address, proxies) }
    }

    /// The address that the connection comes from: a client's, or a proxy's.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is a proxy whose word counts.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.proxies.is_some()
    }

    /// Whether the first request of this connection named a client although the peer is not a trusted proxy: it may be a proxy
    /// that is missing in the list.
    #[must_use]
    pub fn may_be_unlisted_proxy(&self, headers: &HeaderMap) -> bool {
        let names_client = || headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
        self.proxies.is_none() && *self.names_client.get_or_init(names_client)
    }

    /// The address of the client that has sent a request with these headers.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap) -> IpAddr {
        match &self.proxies {
            None => self.address,
            Some(proxies) => client_address(self.address, headers, proxies),
        }
    }
}

/// The client's address: `peer`, unless that is a trusted proxy. Then `Forwarded` (RFC 7239) counts,
/// or, where there is none, `X-Forwarded-For`: from the right, the first address that is no trusted
/// proxy. Each proxy adds on the right, so what stands left of it is anybody's word, and is not looked
/// at. What names no address (`unknown`, `_hidden`, nonsense, the end of the list, hop `HOPS_MAX`)
/// ends the walk at the last address that was good.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> IpAddr {
    let mut client = peer.to_canonical();
    let is_forwarded = headers.contains_key(FORWARDED);
    let lines = headers.get_all(if is_forwarded { FORWARDED } else { X_FORWARDED_FOR });
    // Lines of one name are one list (RFC 9110, section 5.3).
    let mut hops = lines.iter().rev().flat_map(|line| FromRight(Some(line.as_bytes())));
    for _ in 0..HOPS_MAX {
        if !trusted.contain(client) {
            break;
        }
        let hop = hops.next();
        let named = if is_forwarded { hop.and_then(forwarded_for) } else { hop.and_then(node) };
        let Some(address) = named else { break };
        client = address;
    }
    client
}

/// The elements of a list from the right; commas in quoted strings are part of their element.
///
/// From the right, because what a client has sent stands on the left: a quotation mark that it leaves
/// open must not swallow what a proxy has added.
struct FromRight<'a>(Option<&'a [u8]>);

impl<'a> Iterator for FromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let list = self.0?;
        let mut is_quoted = false;
        for at in (0..list.len()).rev() {
            match list[at] {
                b'"' if !is_escaped(&list[..at]) => is_quoted = !is_quoted,
                b',' if !is_quoted => {
                    self.0 = Some(&list[..at]);
                    return Some(&list[at + 1..]);
                }
                _ => {}
            }
        }
        self.0 = None;
        Some(list)
    }
}

/// Whether what follows this is a quoted pair's second half.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|b| **b == b'\\').count() % 2 == 1
}

/// The `for` of one element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut is_quoted = false;
    let pairs = element.split(|b| {
        is_quoted ^= *b == b'"';
        *b == b';' && !is_quoted
    });
    let mut found = None;
    for pair in pairs {
        let Some(equals) = pair.iter().position(|b| *b == b'=') else { continue };
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        // Named twice it says nothing.
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix(b"\"") {
        // Nothing in an address needs escaping, so no quoted pair is undone.
        Some(quoted) => node(quoted.strip_suffix(b"\"")?),
        None => node(value),
    }
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let at = text.find(':')?;
            (IpAddr::V4(text[..at].parse::<Ipv4Addr>().ok()?), &text[at..])
        }
    };
    // Ports may be obfuscated, too (RFC 7239, section 6.3); which it is does not matter here.
    let is_port = |port: &str| {
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    let is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_good.then(|| address.to_canonical())
}

#[cfg(test)]
mod tests {
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

    /// The client as the proxy 10.0.0.1 tells it.
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
            assert!(TrustedProxies::parse(&[bad]).unwrap_err().contains("no address or network"), "{bad}");
        }
        assert!(TrustedProxies::parse::<&str>(&[]).unwrap().is_empty());
    }

    #[test]
    fn the_first_address_from_the_right_that_is_no_proxy_counts() {
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
            // All of them are proxies: the one furthest away.
            (vec![(X, "10.3.3.3, 10.2.2.2")], "10.3.3.3"),
            // The walk ends at what can't be read.
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
            (
                vec![("forwarded", "for=203.0.113.9;by=10.1.1.1"), ("forwarded", "for=10.1.1.1")],
                "203.0.113.9",
            ),
            (vec![("forwarded", "for=203.0.113.9, for=_hidden, for=10.2.2.2")], "10.2.2.2"),
            (vec![("forwarded", "for=203.0.113.9, for=unknown")], "10.0.0.1"),
            (vec![("forwarded", "for=203.0.113.9, proto=https")], "10.0.0.1"),
            (vec![("forwarded", "for=203.0.113.9;for=203.0.113.8")], "10.0.0.1"),
            (vec![("forwarded", "for=\"203.0.113.9")], "10.0.0.1"),
            // A quotation mark that the client has left open takes nothing from the proxy.
            (vec![("forwarded", "for=\"6.6.6.6, for=203.0.113.9")], "203.0.113.9"),
            (vec![("forwarded", "for=\"6.6.6.6\\, for=\"[2001:db8::1]\"")], "2001:db8::1"),
            // `Forwarded` alone counts where both are, also if it says nothing.
            (vec![(X, "203.0.113.9"), ("forwarded", "for=203.0.113.8")], "203.0.113.8"),
            (vec![(X, "203.0.113.9"), ("forwarded", "nonsense")], "10.0.0.1"),
        ] {
            assert_eq!(client(&lines), result, "{lines:?}");
        }
    }

    #[test]
    fn an_untrusted_peer_is_never_asked_and_a_long_chain_is_cut() {
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
        fn whatever_a_client_sends_the_proxy_has_the_last_word(
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
        fn nonsense_is_read_without_harm(sent in "[ -~]{0,200}", peer: IpAddr) {
            for name in ["forwarded", "x-forwarded-for"] {
                let result = client_address(peer, &headers(&[(name, &sent)]), &trusted());
                if !trusted().contain(peer.to_canonical()) {
                    prop_assert_eq!(result, peer.to_canonical());
                }
            }
        }
    }
}
