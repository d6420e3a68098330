//! Reads requests within their limits: targets, headers, bodies, JSON; refuses what exceeds them.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use hyper::http::Version;
use hyper::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::domain::problem;
use crate::http::respond::Refused;

/// The longest request target, in bytes.
pub const TARGET_MAX: usize = 2_048;
/// Bytes of all header names and values. Below hyper's own limit, so that the gateway answers the refusal.
pub const HEADERS_BYTES_MAX: usize = 16 * 1024;
/// Header lines.
pub const HEADERS_MAX: usize = 64;
/// A body on the public listener, in bytes.
pub const BODY_MAX: usize = 16 * 1024;

/// Limits of a body's size and arrival time.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes.
    pub bytes_max: usize,
    /// From the end of the head.
    pub timeout: Duration,
}

/// Refuses a request whose target or headers are too large, and a head that hyper accepts but HTTP does
/// not allow: a proxy in front may parse it differently, which can hide another request.
pub fn check_head(parts: &Parts) -> Result<(), Refused> {
    let authority = parts.uri.authority().map_or(0, |a| a.as_str().len());
    let target = parts.uri.path_and_query().map_or(0, |t| t.as_str().len()) + authority;
    if target > TARGET_MAX {
        let detail = format!("The request target has {target} bytes; the limit is {TARGET_MAX}.");
        return Err(Refused::new(problem::URI_TOO_LONG, detail));
    }
    let (mut bytes, mut hosts, mut is_host_good) = (0, 0, true);
    let (mut codings, mut is_chunked) = (0, true);
    for (name, value) in &parts.headers {
        bytes += name.as_str().len() + value.len();
        if name == HOST {
            hosts += 1;
            is_host_good &= is_host(value.as_bytes());
        } else if name == TRANSFER_ENCODING {
            codings += 1;
            is_chunked &= value.as_bytes().eq_ignore_ascii_case(b"chunked");
        }
    }
    if bytes > HEADERS_BYTES_MAX || parts.headers.len() > HEADERS_MAX {
        let detail = format!(
            "The request has {} headers of {bytes} bytes; the limit is {HEADERS_MAX} of {HEADERS_BYTES_MAX}.",
            parts.headers.len()
        );
        return Err(Refused::new(problem::HEADERS_TOO_LARGE, detail));
    }
    // RFC 9112, section 3.2: exactly one valid Host. HTTP/1.0 does without, HTTP/2 has `:authority`.
    if hosts > 1 || !is_host_good || (hosts == 0 && parts.version == Version::HTTP_11) {
        let detail = "Send one Host header that names a host, and a port if need be.";
        return Err(Refused::new(problem::INVALID_REQUEST, detail).and_close());
    }
    // hyper looks only at the last coding: `gzip, chunked`, or `chunked` twice (RFC 9112, sections 6.1
    // and 7). No client needs them here, and proxies differ in them.
    if codings > 1 || !is_chunked {
        let detail = "The only Transfer-Encoding accepted here is one chunked.";
        return Err(Refused::new(problem::INVALID_REQUEST, detail).and_close());
    }
    Ok(())
}

/// Whether this can be a host and a port (RFC 9110, section 7.2). It may be empty, and has no character
/// that ends a host in a URL or joins two.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'\\' | b'?' | b'#' | b'@' | b','))
}

/// Reads a body that must be JSON of this type.
pub async fn json<T: DeserializeOwned>(
    parts: &Parts,
    body: Incoming,
    limits: BodyLimits,
) -> Result<T, Refused> {
    parse(&json_bytes(parts, body, limits).await?)
}

/// Reads a body that must be JSON, without parsing it.
pub async fn json_bytes(parts: &Parts, body: Incoming, limits: BodyLimits) -> Result<Bytes, Refused> {
    check_is_json(parts)?;
    read(parts, body, limits).await
}

/// Reads a body that may be left out, or must be JSON of this type.
pub async fn optional_json<T: DeserializeOwned + Default>(
    parts: &Parts,
    body: Incoming,
    limits: BodyLimits,
) -> Result<T, Refused> {
    if body.is_end_stream() {
        return Ok(T::default());
    }
    let bytes = read(parts, body, limits).await?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    check_is_json(parts)?;
    parse(&bytes)
}

fn check_is_json(parts: &Parts) -> Result<(), Refused> {
    let content_type = parts.headers.get(CONTENT_TYPE);
    // The value that nearly all clients send.
    if content_type.is_none_or(|v| v != "application/json") {
        let content_type = content_type.and_then(|v| v.to_str().ok()).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            let detail = if content_type.is_empty() {
                "There is no Content-Type; send application/json.".to_owned()
            } else {
                format!("The Content-Type is {essence:?}; send application/json.")
            };
            return Err(Refused::new(problem::UNSUPPORTED_MEDIA_TYPE, detail));
        }
    }
    if parts.headers.get(CONTENT_ENCODING).is_some_and(|v| v != "identity") {
        return Err(Refused::new(
            problem::UNSUPPORTED_MEDIA_TYPE,
            "Send the body without a Content-Encoding.",
        ));
    }
    Ok(())
}

async fn read(parts: &Parts, mut body: Incoming, limits: BodyLimits) -> Result<Bytes, Refused> {
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limits.bytes_max as u64) {
        return Err(too_large(limits));
    }
    // Nearly all bodies arrive with the head, in one piece.
    let begun = match soon(body.frame()).await {
        Some(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        Some(Some(Err(_))) => return Err(broken_off()),
        Some(None) | None => Bytes::new(),
    };
    if body.is_end_stream() && begun.len() <= limits.bytes_max {
        return Ok(begun);
    }
    // Boxed, so that the future of a tap is small.
    Box::pin(read_on(begun, body, limits)).await
}

/// The rest of a body that arrives in pieces.
async fn read_on(begun: Bytes, mut body: Incoming, limits: BodyLimits) -> Result<Bytes, Refused> {
    let mut bytes = BytesMut::from(begun);
    let read = async {
        while bytes.len() <= limits.bytes_max {
            match body.frame().await {
                Some(Ok(frame)) => bytes.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return Err(broken_off()),
                None => return Ok(bytes.freeze()),
            }
        }
        Err(too_large(limits))
    };
    tokio::time::timeout(limits.timeout, read).await.unwrap_or_else(|_| {
        let detail = format!("The body did not arrive within {} ms.", limits.timeout.as_millis());
        Err(Refused::new(problem::REQUEST_TIMEOUT, detail))
    })
}

fn too_large(limits: BodyLimits) -> Refused {
    Refused::new(problem::BODY_TOO_LARGE, format!("A body here has at most {} bytes.", limits.bytes_max))
}

fn broken_off() -> Refused {
    Refused::new(problem::INVALID_REQUEST, "The body broke off or is badly framed.")
}

/// The result of a future that is ready at its first or second poll, without a timer. Between the two,
/// hyper hands on a body that arrived with its head.
async fn soon<F: Future + Unpin>(mut work: F) -> Option<F::Output> {
    let mut looks = 0;
    std::future::poll_fn(|cx| match Pin::new(&mut work).poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if looks == 0 => {
            looks += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Parses JSON; the error names the member that is wrong.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Refused> {
    // serde accepts an array for a struct; the bodies of this API are objects.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        return Err(Refused::invalid("", "The body must be a JSON object."));
    }
    // Once for the whole body: serde_json would check each of its strings by itself.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(mistake::<T>(bytes));
    };
    // Tracking the path costs more than parsing, so only an invalid body is parsed twice.
    serde_json::from_str(text).map_err(|_| mistake::<T>(bytes))
}

/// The error of JSON that can't be parsed as this type, with its location.
fn mistake<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Refused {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    if let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        let mut pointer = pointer(error.path());
        let text = error.inner().to_string();
        // serde names an unknown field, the path ends at the object that holds it. The field itself may
        // hold a backtick; the list of known fields never holds this end.
        let field = text.strip_prefix("unknown field `").and_then(|rest| rest.rsplit_once("`, expected "));
        if let Some((field, _)) = field
            && !pointer.ends_with(&format!("/{}", escape(field)))
        {
            pointer = format!("{pointer}/{}", escape(field));
        }
        return Refused::invalid(&pointer, format!("{text}."));
    }
    let after = deserializer.end().err().map(|error| error.to_string()).unwrap_or_default();
    Refused::invalid("", format!("after the JSON: {after}."))
}

/// RFC 6901.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escape(key)),
        Segment::Enum { variant } => format!("/{}", escape(variant)),
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The query's parameters; each may be named once and must be one of these.
pub fn query<const N: usize>(parts: &Parts, names: [&str; N]) -> Result<[Option<String>; N], Refused> {
    read_query(parts, names, |name| {
        let expected = if N == 0 { "none".to_owned() } else { names.join(", ") };
        Err(Refused::new(
            problem::INVALID_REQUEST,
            format!("There is no query parameter {name:?} here; expected: {expected}."),
        ))
    })
}

/// The same for cacheable reads: other parameters are ignored, as campaigns and cache busters add them.
pub fn known_query<const N: usize>(parts: &Parts, names: [&str; N]) -> Result<[Option<String>; N], Refused> {
    read_query(parts, names, |_| Ok(()))
}

fn read_query<const N: usize>(
    parts: &Parts,
    names: [&str; N],
    unknown: impl Fn(&str) -> Result<(), Refused>,
) -> Result<[Option<String>; N], Refused> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        let Some(index) = names.iter().position(|n| *n == name) else {
            unknown(&name)?;
            continue;
        };
        if values[index].replace(value.into_owned()).is_some() {
            return Err(Refused::new(
                problem::INVALID_REQUEST,
                format!("The query parameter {name:?} is there twice."),
            ));
        }
    }
    Ok(values)
}
