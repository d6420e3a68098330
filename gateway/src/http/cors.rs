//! CORS: allowed origins, allowed request headers, and the response headers that scripts may read.

use std::sync::Arc;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN,
    VARY,
};
use hyper::http::request::Parts;
use hyper::http::{HeaderValue, Method};

use crate::http::respond::{self, Answer};

const EXPOSED: &str = "Retry-After, Location, ETag, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id, traceresponse";
/// What calls of the API need; further ones are configured.
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, If-None-Match";
/// Entries in the lists of origins and of headers.
const LISTED_MAX: usize = 256;
/// Longer than any origin that a browser sends: a name has at most 253 characters.
const ORIGIN_BYTES_MAX: usize = 320;

/// Allowed origins and request headers.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    origins: Arc<[Origin]>,
    /// The value of `Access-Control-Allow-Headers`.
    headers: Option<HeaderValue>,
}

/// A configured origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Exactly this origin.
    One(String),
    /// Any one label between the two: `https://` and `.shop.example`.
    AnyLabel(String, String),
}

impl Cors {
    /// Allows these origins and headers.
    pub fn new(origins: Vec<Origin>, headers: Vec<HeaderName>) -> Self {
        let all = headers.iter().fold(HEADERS.to_owned(), |all, name| format!("{all}, {name}"));
        Self { origins: origins.into(), headers: HeaderValue::try_from(all).ok() }
    }

    /// The number of listed origins.
    pub fn origins(&self) -> usize {
        self.origins.len()
    }

    /// Parses origins; the error names the first one that no browser sends, and why.
    pub fn parse_origins(list: &[String]) -> Result<Vec<Origin>, String> {
        at_most(list)?;
        list.iter().map(|text| Origin::parse(text).map_err(|why| format!("holds {text:?}: {why}"))).collect()
    }

    /// Parses names of request headers.
    pub fn parse_headers(list: &[String]) -> Result<Vec<HeaderName>, String> {
        at_most(list)?;
        let name = |text: &String| match text.as_str() {
            "*" => Err("holds \"*\": browsers don't accept it for every header; name each".to_owned()),
            name => name.parse().map_err(|_| format!("holds {name:?}, which is not a valid header name")),
        };
        list.iter().map(name).collect()
    }

    /// The request's origin, if it is listed.
    pub fn origin(&self, parts: &Parts) -> Option<HeaderValue> {
        let sent = parts.headers.get(ORIGIN)?;
        self.origins.iter().any(|listed| listed.matches(sent.as_bytes())).then(|| sent.clone())
    }

    /// The response to a preflight from a listed origin for a path with these methods; `None` if it is
    /// not a preflight.
    pub fn preflight(
        &self,
        origin: Option<&HeaderValue>,
        parts: &Parts,
        methods: impl FnOnce() -> String,
    ) -> Option<Answer> {
        origin?;
        (parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))
            .then_some(())?;
        let mut answer = respond::preflight();
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::try_from(methods()).ok()?);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone()?);
        // Ten minutes: long enough for a launch, short enough for a change of the list.
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        Some(answer)
    }

    /// Adds the CORS headers for the origin of the request. `Vary` is needed only where origins are configured.
    pub fn mark(&self, answer: &mut Answer, origin: Option<HeaderValue>) {
        let headers = answer.headers_mut();
        if !self.origins.is_empty() {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }
}

fn at_most(list: &[String]) -> Result<(), String> {
    if list.len() > LISTED_MAX {
        return Err(format!("holds {} entries; at most {LISTED_MAX} are allowed", list.len()));
    }
    Ok(())
}

impl Origin {
    /// Parses an origin as browsers write it (RFC 6454, section 6.2); the error names what to write instead.
    fn parse(text: &str) -> Result<Self, String> {
        let is_wrong = |why: &str| Err(why.to_owned());
        match text {
            "*" => return is_wrong("a wildcard for all origins is not supported; list the origins"),
            "null" => {
                return is_wrong(
                    "browsers send it for any file and any sandboxed frame, so it is not supported; serve the page \
                     from an origin of its own",
                );
            }
            _ => {}
        }
        if !text.is_ascii() {
            return is_wrong(
                "not ASCII; write the name as browsers send it, as in https://xn--fiqs8s.example",
            );
        }
        let text = text.to_ascii_lowercase();
        let Some((scheme, authority)) = text.split_once("://") else {
            return is_wrong("not an origin like https://shop.example or capacitor://localhost");
        };
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme {
            return Err(format!("{scheme:?} is not a valid scheme, like https or capacitor"));
        }
        if scheme == "file" {
            return is_wrong(
                "browsers send \"null\" for files, which is not supported; serve the page from an origin of its own",
            );
        }
        if let Some(at) = authority.find(['/', '?', '#', '@']) {
            return Err(format!("an origin ends after host and port; leave out {:?}", &authority[at..]));
        }
        let (host, port) = split_port(authority)?;
        // Browsers leave out the default port of the scheme.
        let end = match (scheme, port) {
            (_, None) | ("http", Some(80)) | ("https", Some(443)) => String::new(),
            (_, Some(port)) => format!(":{port}"),
        };
        let Some(parent) = host.strip_prefix("*.") else {
            if host.contains('*') {
                return is_wrong(
                    "a * is supported only for the whole first name, as in https://*.shop.example",
                );
            }
            check_host(host)?;
            return Ok(Self::One(format!("{scheme}://{host}{end}")));
        };
        check_host(parent)?;
        if parent.contains('*') || !parent.contains('.') || parent.parse::<std::net::Ipv4Addr>().is_ok() {
            return is_wrong("behind *. a name of two parts or more is needed, as in https://*.shop.example");
        }
        Ok(Self::AnyLabel(format!("{scheme}://"), format!(".{parent}{end}")))
    }

    fn matches(&self, sent: &[u8]) -> bool {
        match self {
            Self::One(origin) => origin.as_bytes() == sent,
            Self::AnyLabel(begin, end) => {
                let label = (sent.len() <= ORIGIN_BYTES_MAX)
                    .then(|| sent.strip_prefix(begin.as_bytes())?.strip_suffix(end.as_bytes()))
                    .flatten();
                label.is_some_and(is_label)
            }
        }
    }
}

/// Host and port of `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    let Some(at) = at else { return Ok((authority, None)) };
    let digits = &authority[at + 1..];
    let port = digits.parse().ok().filter(|port| *port > 0 && !digits.starts_with(['+', '0']));
    match port {
        Some(port) => Ok((&authority[..at], Some(port))),
        None => Err(format!("{digits:?} is not a port from 1 to 65535")),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    let is_v6 = || host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match is_v6() {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| is_label(label.as_bytes())),
    };
    if is_host { Ok(()) } else { Err(format!("{host:?} is not a valid host name")) }
}

/// Whether this is a valid label of a host name, in lower case.
fn is_label(label: &[u8]) -> bool {
    let byte = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=63).contains(&label.len()) && label.iter().all(byte)
}

#[cfg(test)]
mod tests;
