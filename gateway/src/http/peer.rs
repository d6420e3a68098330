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
mod tests;
