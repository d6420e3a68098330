//! The client address of a request: the address that connected, or the one that trusted proxies forward.

use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};
use ipnet::{IpNet, Ipv4Net};

/// Hops that are read, from the right. Chains of trusted proxies have two or three.
pub const HOPS_MAX: usize = 16;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses and networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Arc<[IpNet]>);

/// Proxies whose forwarding headers are trusted.
pub type TrustedProxies = Networks;

impl Networks {
    /// Parses addresses (`10.0.0.7`, `fd00::7`) and networks (`10.0.0.0/8`).
    pub fn parse<T: AsRef<str>>(list: &[T]) -> Result<Self, String> {
        let net = |text: &T| {
            let text = text.as_ref();
            let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map(canonical).map_err(|_| {
                format!("holds {text:?}, which is not a valid address or network like 10.0.0.7 or 10.0.0.0/8")
            })
        };
        list.iter().map(net).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them contains this address.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// Addresses are compared as IPv4 where possible, so networks must be, too.
fn canonical(net: IpNet) -> IpNet {
    match (net.addr().to_canonical(), net.prefix_len().checked_sub(96)) {
        (IpAddr::V4(address), Some(prefix)) if net.addr().is_ipv6() => {
            Ipv4Net::new(address, prefix).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

/// The remote end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    address: IpAddr,
    /// Set for a trusted proxy, whose forwarding headers count.
    proxies: Option<TrustedProxies>,
    /// Whether its first request has a forwarding header that is ignored.
    names_client: OnceCell<bool>,
}

impl Peer {
    /// The peer that connected from this address, or that the PROXY protocol names.
    pub fn new(address: IpAddr, proxies: &TrustedProxies) -> Self {
        let address = address.to_canonical();
        let proxies = proxies.contain(address).then(|| proxies.clone());
        Self { address, proxies, names_client: OnceCell::new() }
    }

    /// The client that a PROXY header names; its forwarding headers are ignored.
    pub fn introduced(address: IpAddr, proxies: &TrustedProxies) -> Self {
        Self { names_client: OnceCell::from(false), ..Self::new(address, proxies) }
    }

    /// The address that the connection comes from: a client's, or a proxy's.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether it is a trusted proxy.
    pub fn is_trusted(&self) -> bool {
        self.proxies.is_some()
    }

    /// Whether the first request of this connection has a forwarding header though the peer is not
    /// trusted: it may be a proxy that is missing in the list.
    pub fn may_be_unlisted_proxy(&self, headers: &HeaderMap) -> bool {
        let names_client = || headers.contains_key(FORWARDED) || headers.contains_key(X_FORWARDED_FOR);
        self.proxies.is_none() && *self.names_client.get_or_init(names_client)
    }

    /// The address of the client that sent a request with these headers.
    pub fn client(&self, headers: &HeaderMap) -> IpAddr {
        match &self.proxies {
            None => self.address,
            Some(proxies) => client_address(self.address, headers, proxies),
        }
    }
}

/// The client's address: `peer`, or for a trusted proxy the first untrusted address from the right in
/// `Forwarded` (RFC 7239), else in `X-Forwarded-For`; entries further left can be forged. An entry without an
/// address (`unknown`, malformed) and hop `HOPS_MAX` end the search at the last valid address.
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

/// The elements of a list from the right; commas in quoted strings are part of their element. From the
/// right, because a quotation mark that the client left open must not swallow what a proxy appended.
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

/// Whether the next byte is the second half of a quoted pair.
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
        // A parameter that is there twice is ambiguous.
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix(b"\"") {
        // No character of an address needs escaping, so no quoted pair is undone.
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
    // Ports may be obfuscated, too (RFC 7239, section 6.3); the value does not matter here.
    let is_port = |port: &str| {
        !port.is_empty() && port.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
    };
    let is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_good.then(|| address.to_canonical())
}

#[cfg(test)]
mod tests;
