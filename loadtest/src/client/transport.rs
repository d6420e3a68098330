//! Defines the options of connections and header fields.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::Args;
use hyper::header::{HeaderName, HeaderValue};

use crate::client::connections::Connections;

/// How requests get to the gateways.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Transport {
    /// Whose connection a request uses: `own`, one for each buyer from the first request to the last; `shared:N` (or N), at
    /// most N for all, so that buyers queue here, and are late; `cold`, a new one for each request [default: own; look,
    /// soak and capacity share as many as descriptors allow]
    #[arg(long, value_name = "own|shared:N|cold", value_parser = Connections::parse, env = "LAUNCHGATE_CONNECTIONS")]
    pub(crate) connections: Option<Connections>,

    /// Use HTTP/2 only: by ALPN where a gateway has https, by prior knowledge where it has http
    #[arg(long, env = "LAUNCHGATE_HTTP2")]
    pub(crate) http2: bool,

    /// Add a header field to every request; may be repeated
    #[arg(long, value_name = "NAME:VALUE", value_parser = Field::parse, env = "LAUNCHGATE_HEADER")]
    pub(crate) header: Vec<Field>,

    /// Connect to this address in place of those of a gateway's name, as curl does; may be repeated
    #[arg(long, value_name = "HOST:PORT:ADDR[,ADDR]", value_parser = Resolve::parse, env = "LAUNCHGATE_RESOLVE")]
    pub(crate) resolve: Vec<Resolve>,

    /// Give each buyer an address of this network, in `X-Forwarded-For`: for gateways that have this machine in
    /// --trusted-proxies, so that the limits of addresses stay on
    #[arg(long, value_name = "CIDR", value_parser = Network::parse, env = "LAUNCHGATE_FORWARDED_FOR")]
    pub(crate) forwarded_for: Option<Network>,

    /// Set the sampled flag of `traceparent`, for a tracing proxy before the gateways
    #[arg(long, env = "LAUNCHGATE_TRACE_SAMPLED")]
    pub(crate) trace_sampled: bool,
}

/// A header field of `--header`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

/// The addresses of one name and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolve {
    name: String,
    port: u16,
    pub(crate) addresses: Vec<IpAddr>,
}

/// A network with an address for each buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    first: IpAddr,
    /// Bits that an address may choose.
    free: u32,
}

/// Limits of addresses treat a /64 as one client.
const ONE_CLIENT_BITS: u32 = 64;

impl Transport {
    /// Values that fit no gateway.
    pub(crate) fn mistakes(&self, gateways: &[String]) -> Vec<String> {
        let authority = |url: &String| {
            let (scheme, rest) = url.split_once("://")?;
            let rest = rest.trim_end_matches('/');
            let port = if scheme == "https" { 443 } else { 80 };
            match rest.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?))) {
                Some((name, port)) => Some((name.to_owned(), port)),
                None => Some((rest.to_owned(), port)),
            }
        };
        let known: Vec<(String, u16)> = gateways.iter().filter_map(authority).collect();
        let is_unused = |resolve: &&Resolve| !known.iter().any(|(name, port)| resolve.is_of(name, *port));
        let unused = self.resolve.iter().filter(is_unused).map(|resolve| {
            let Resolve { name, port, .. } = resolve;
            format!("--resolve {name}:{port}: no --gateway has this name and port")
        });
        unused.collect()
    }
}

impl Field {
    /// Reads `NAME:VALUE`; blanks around the value do not belong to it.
    pub(crate) fn parse(text: &str) -> Result<Field, String> {
        let (name, value) =
            text.split_once(':').ok_or_else(|| format!("expected NAME:VALUE, found {text:?}"))?;
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("{name:?} is not a valid name of a header field"))?;
        if let Some(reason) = why_not(name.as_str()) {
            return Err(format!("{name} can't be set: {reason}"));
        }
        let value = HeaderValue::from_str(value.trim())
            .map_err(|_| format!("the value of {name} has characters that no header field may have"))?;
        Ok(Field { name, value })
    }
}

/// Why a field can't be set by hand.
fn why_not(name: &str) -> Option<&'static str> {
    match name {
        "authorization" => Some("each buyer's token is in it; use --auth-secret-file or --tokens"),
        "host" => Some("it is the gateway's name; use --resolve to reach a name at another address"),
        "idempotency-key" => Some("each tap has its own, which the proof compares with the ledger"),
        "if-none-match" => Some("it is the tag of what a buyer has seen"),
        "content-type" | "content-length" => Some("it belongs to each request's body"),
        "transfer-encoding" | "connection" | "keep-alive" | "upgrade" | "te" | "trailer" | "expect"
        | "proxy-connection" | "http2-settings" => Some("it belongs to the connection; see --connections"),
        "accept-encoding" => Some("loadtest reads answers without compression"),
        "traceparent" | "x-request-id" => Some("each request has its own"),
        "forwarded" | "x-forwarded-for" => Some("each buyer has an address; use --forwarded-for CIDR"),
        _ => None,
    }
}

impl Resolve {
    /// Reads `HOST:PORT:ADDR[,ADDR]`; an IPv6 address may stand in brackets.
    pub(crate) fn parse(text: &str) -> Result<Resolve, String> {
        let wrong = || format!("expected HOST:PORT:ADDR, as in gate.example:443:10.0.0.7, found {text:?}");
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(port), Some(addresses)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(wrong());
        };
        let addresses = addresses.split(',').map(|one| one.trim_matches(['[', ']']).parse());
        let addresses: Vec<IpAddr> = addresses.collect::<Result<_, _>>().map_err(|_| wrong())?;
        let port = port.parse().map_err(|_| wrong())?;
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Resolve { name: name.to_ascii_lowercase(), port, addresses })
    }

    pub(crate) fn is_of(&self, name: &str, port: u16) -> bool {
        self.port == port && self.name.eq_ignore_ascii_case(name)
    }
}

impl Network {
    /// Reads `198.18.0.0/15`, or one address for all.
    pub(crate) fn parse(text: &str) -> Result<Network, String> {
        let wrong = || format!("expected a network, as in 198.18.0.0/15, found {text:?}");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u32 = if address.is_ipv4() { 32 } else { 128 };
        let free = bits.checked_sub(prefix.unwrap_or(bits)).ok_or_else(wrong)?;
        let kept = u128::MAX.checked_shl(free).unwrap_or(0);
        let first = match address {
            IpAddr::V4(address) => {
                IpAddr::V4(Ipv4Addr::from(address.to_bits() & u32::try_from(kept & 0xffff_ffff).unwrap_or(0)))
            }
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(address.to_bits() & kept)),
        };
        Ok(Network { first, free })
    }

    /// The address of the buyer with this number; those of a network that is too small have several buyers.
    pub(crate) fn address(&self, number: usize) -> IpAddr {
        let number = number as u128;
        match self.first {
            IpAddr::V4(first) => {
                let n = number & ((1 << self.free) - 1);
                IpAddr::V4(Ipv4Addr::from(first.to_bits() | u32::try_from(n).unwrap_or(0)))
            }
            IpAddr::V6(first) => {
                // One for each client, as limits see them, as long as there are.
                let shift = if self.free > ONE_CLIENT_BITS { ONE_CLIENT_BITS } else { 0 };
                let n = number & (u128::MAX >> (128 - (self.free - shift).max(1)));
                let n = if self.free == 0 { 0 } else { n << shift };
                IpAddr::V6(Ipv6Addr::from(first.to_bits() | n))
            }
        }
    }

    /// How many buyers have addresses that limits tell apart.
    pub(crate) fn clients(&self) -> u128 {
        let bits = if self.first.is_ipv6() { self.free.saturating_sub(ONE_CLIENT_BITS) } else { self.free };
        1 << bits
    }
}

#[cfg(test)]
mod tests;
