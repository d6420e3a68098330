//! Browsers on other origins: who may call, and what their scripts may read.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use hyper::http::request::Parts;
use hyper::http::{HeaderValue, Method};

use super::respond::{self, Answer};

const EXPOSED: &str = "Retry-After, Location, ETag, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id, traceresponse";
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, If-None-Match, traceparent, tracestate";

/// The listed origin that a request comes from, if it does.
#[must_use]
pub fn origin(origins: &[HeaderValue], parts: &Parts) -> Option<HeaderValue> {
    let origin = parts.headers.get(ORIGIN)?;
    origins.iter().find(|known| *known == origin).cloned()
}

/// The answer to a preflight for a path that has these methods, or `None` if it is none.
#[must_use]
pub fn preflight(origin: Option<&HeaderValue>, parts: &Parts, methods: &[&str]) -> Option<Answer> {
    origin?;
    (parts.method == Method::OPTIONS && parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))
        .then_some(())?;
    let mut answer = respond::preflight();
    let headers = answer.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_str(&methods.join(", ")).ok()?);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
    // Ten minutes: long enough for a launch, short enough for a change of the list.
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(answer)
}

/// Marks an answer for the origin that it goes to. Only where origins are configured does an answer
/// depend on the origin.
pub fn mark(answer: &mut Answer, configured: bool, origin: Option<HeaderValue>) {
    let headers = answer.headers_mut();
    if configured {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}
