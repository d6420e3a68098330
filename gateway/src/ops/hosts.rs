//! Host names that the ops listener accepts: under DNS rebinding a foreign page has the same origin as
//! this listener for its browser, but its own name in the `Host` header of every request.

use std::net::IpAddr;

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

use crate::domain::problem;
use crate::http::respond::Refused;

/// The names given by `--ops-host`. Addresses and `localhost` are always accepted: DNS can't rebind them.
#[derive(Debug, Clone, Default)]
pub struct OpsHosts(Vec<String>);

impl OpsHosts {
    /// Parses names without a port.
    pub fn parse(names: &[String]) -> Result<Self, String> {
        let is_name = |name: &str| {
            let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !name.is_empty() && name.len() <= 253 && name.bytes().all(byte)
        };
        match names.iter().find(|name| !is_name(name)) {
            Some(bad) => Err(format!("holds {bad:?}, which is not a valid host name like ops.shop.example")),
            None => Ok(Self(names.iter().map(|name| plain(name)).collect())),
        }
    }

    /// Refuses a request for another host.
    pub fn check(&self, parts: &Parts) -> Result<(), Refused> {
        let target = parts.uri.authority().map(Authority::as_str);
        // A value that is not ASCII is not a host either.
        let header = parts.headers.get(HOST).map(|value| value.to_str().unwrap_or_default());
        match target.into_iter().chain(header).find(|host| !self.is_ours(host)) {
            None => Ok(()),
            Some(other) => {
                let detail = format!(
                    "This gateway's ops listener does not accept the host {other:?}. Call it by its address or as \
                     localhost, or add the name to --ops-host."
                );
                Err(Refused::new(problem::MISDIRECTED_REQUEST, detail))
            }
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(host) = host_of(host) else { return false };
        let name = plain(host);
        host.parse::<IpAddr>().is_ok() || name == "localhost" || self.0.contains(&name)
    }
}

/// The name or address in `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
fn host_of(text: &str) -> Option<&str> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(address) => address.split_once(']')?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_port =
        |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    (rest.is_empty() || is_port(rest)).then_some(host)
}

/// A name in lower case, without the dot that ends a full one.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
