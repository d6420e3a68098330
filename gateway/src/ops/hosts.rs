//! The names that the ops listener answers to. A page of somebody else, whose name was made to point here (DNS rebinding),
//! is of the same origin as this listener for its browser; but its name stands in every request.

use std::net::IpAddr;

use hyper::header::HOST;
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

use crate::domain::problem;
use crate::http::respond::Refused;

/// The names given by `--ops-host`. Addresses and `localhost` are always right: nobody can make them point elsewhere.
#[derive(Debug, Clone, Default)]
pub struct OpsHosts(Vec<String>);

impl OpsHosts {
    /// Takes names without a port.
    pub fn parse(names: &[String]) -> Result<Self, String> {
        let is_name = |name: &str| {
            let byte = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !name.is_empty() && name.len() <= 253 && name.bytes().all(byte)
        };
        match names.iter().find(|name| !is_name(name)) {
            Some(bad) => Err(format!("holds {bad:?}, which is no name of a host like ops.shop.example")),
            None => Ok(Self(names.iter().map(|name| plain(name)).collect())),
        }
    }

    /// Refuses a request that is meant for another host.
    pub fn check(&self, parts: &Parts) -> Result<(), Refused> {
        let target = parts.uri.authority().map(Authority::as_str);
        // A value that is no text is no host either.
        let header = parts.headers.get(HOST).map(|value| value.to_str().unwrap_or_default());
        match target.into_iter().chain(header).find(|host| !self.is_ours(host)) {
            None => Ok(()),
            Some(other) => {
                let detail = format!(
                    "This gateway's ops listener does not answer to the name {other:?}. Call it by its address or as \
                     localhost, or start it with --ops-host and this name."
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

/// Names are the same in capitals, and with the dot that ends a full one.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use hyper::Request;

    use super::*;

    fn is_answered(hosts: &OpsHosts, target: &str, host: Option<&str>) -> bool {
        let mut request = Request::builder().uri(target);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        hosts.check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn addresses_localhost_and_given_names_are_ours_and_no_others() {
        let hosts = OpsHosts::parse(&["Ops.Shop.example".to_owned(), "gateway-1".to_owned()]).unwrap();
        for good in [
            "127.0.0.1:9090",
            "10.0.0.3",
            "[::1]:9090",
            "localhost:9090",
            "LOCALHOST.",
            "ops.shop.example",
            "OPS.shop.example.:443",
            "gateway-1:9090",
        ] {
            assert!(is_answered(&hosts, "/", Some(good)), "{good}");
            assert!(is_answered(&hosts, &format!("http://{good}/"), None), "{good}");
        }
        for bad in [
            "",
            "evil.example:9090",
            "shop.example",
            "x.ops.shop.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "1.2.3",
            "[::1].evil.example",
        ] {
            assert!(!is_answered(&hosts, "/", Some(bad)), "{bad}");
        }
        // A target with a name goes before the header, and both must be right.
        assert!(!is_answered(&hosts, "http://evil.example/", Some("localhost")));
        assert!(!is_answered(&hosts, "http://localhost/", Some("evil.example")));
        // HTTP/1.0 without any: no browser sends that.
        assert!(is_answered(&hosts, "/", None));
        assert!(
            OpsHosts::parse(&["a:80".to_owned()]).is_err() && OpsHosts::parse(&["*".to_owned()]).is_err()
        );
    }
}
