//! Writes requests, in HTTP/1.1 and in HTTP/2.

use std::error::Error;
use std::io::Write;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Method;
use hyper::header::{HeaderName, HeaderValue};

use crate::client::trace::{Trace, new_trace_id};

/// A request that may be sent again as it is.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// From the root, with the query.
    pub(crate) path: String,
    pub(crate) bearer: Option<String>,
    pub(crate) key: Option<String>,
    /// The `ETag` of what the caller has already.
    pub(crate) tag: Option<String>,
    /// JSON, serialised once for all tries: a retry must have the same body.
    pub(crate) body: Option<String>,
    /// One for all tries.
    pub(crate) trace_id: u128,
}

/// What a try has besides its request.
pub(super) struct Extra<'a> {
    /// The same for all requests: `User-Agent` and those of `--header`.
    pub(super) headers: &'a [(HeaderName, HeaderValue)],
    pub(super) trace: Trace,
    /// The buyer's address, where the gateway takes this program for a proxy.
    pub(super) forwarded_for: Option<&'a str>,
}

/// What is known of a request's head, besides its fields; enough for all but the longest tokens.
const HEAD_BYTES: usize = 1024;

impl Request {
    pub(crate) fn get(path: String) -> Request {
        Request {
            method: Method::GET,
            path,
            bearer: None,
            key: None,
            tag: None,
            body: None,
            trace_id: new_trace_id(),
        }
    }

    /// A look at what is the caller's own.
    pub(crate) fn get_as(path: String, bearer: &str) -> Request {
        Request { bearer: Some(bearer.to_owned()), ..Request::get(path) }
    }

    pub(crate) fn put(path: String, bearer: &str, body: String) -> Request {
        Request { method: Method::PUT, ..Request::post(path, bearer, Some(body)) }
    }

    pub(crate) fn delete(path: String, bearer: &str) -> Request {
        Request { method: Method::DELETE, ..Request::post(path, bearer, None) }
    }

    pub(crate) fn post(path: String, bearer: &str, body: Option<String>) -> Request {
        Request { method: Method::POST, bearer: Some(bearer.to_owned()), body, ..Request::get(path) }
    }

    pub(crate) fn patch(path: String, bearer: &str, body: String) -> Request {
        Request { method: Method::PATCH, ..Request::post(path, bearer, Some(body)) }
    }

    pub(crate) fn with_key(mut self, key: &str) -> Request {
        self.key = Some(key.to_owned());
        self
    }

    /// For a history: everything but the token.
    pub(crate) fn describe(&self, gateway: &str) -> String {
        let key = self.key.as_ref().map(|key| format!(" Idempotency-Key: {key}")).unwrap_or_default();
        let body = self.body.as_ref().map(|body| format!(" {body}")).unwrap_or_default();
        format!("{} {gateway}{}{key}{body}", self.method, self.path)
    }

    /// The bytes of one try in HTTP/1.1.
    pub(super) fn to_http1(
        &self,
        host: &str,
        extra: &Extra<'_>,
    ) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
        self.check_path()?;
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.body.as_ref().map_or(0, String::len));
        write!(bytes, "{} {} HTTP/1.1\r\nhost: {host}\r\n", self.method, self.path)?;
        self.each_field(extra, |name, value| {
            if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
                return Err(format!("the value of {name} has control characters: nothing was sent").into());
            }
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
            Ok(())
        })?;
        match &self.body {
            Some(body) => write!(bytes, "content-length: {}\r\n\r\n{body}", body.len())?,
            None if self.method == Method::GET => bytes.extend_from_slice(b"\r\n"),
            None => bytes.extend_from_slice(b"content-length: 0\r\n\r\n"),
        }
        Ok(bytes)
    }

    /// One try in HTTP/2.
    pub(super) fn to_http2(
        &self,
        base: &str,
        extra: &Extra<'_>,
    ) -> Result<hyper::Request<Full<Bytes>>, Box<dyn Error + Send + Sync>> {
        self.check_path()?;
        let body = self.body.clone().map(Full::from).unwrap_or_default();
        let mut request = hyper::Request::builder()
            .method(self.method.clone())
            .uri(format!("{base}{}", self.path))
            .body(body)?;
        self.each_field(extra, |name, value| {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            request.headers_mut().append(name, HeaderValue::from_bytes(value)?);
            Ok(())
        })?;
        Ok(request)
    }

    fn each_field(
        &self,
        extra: &Extra<'_>,
        mut take: impl FnMut(&str, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        for (name, value) in extra.headers {
            take(name.as_str(), value.as_bytes())?;
        }
        take("traceparent", extra.trace.to_string().as_bytes())?;
        let content_type = self.body.as_ref().map(|_| "application/json");
        let fields = [
            ("x-forwarded-for", extra.forwarded_for),
            ("authorization", self.bearer.as_deref()),
            ("idempotency-key", self.key.as_deref()),
            ("if-none-match", self.tag.as_deref()),
            ("content-type", content_type),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                take(name, value.as_bytes())?;
            }
        }
        Ok(())
    }

    /// A path may contain what a gateway answered: an id with a blank or a line end would be another request.
    fn check_path(&self) -> Result<(), String> {
        if self.path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        Err(format!("the path {:?} has characters that no URL may have: nothing was sent", self.path))
    }
}

#[cfg(test)]
mod tests;
