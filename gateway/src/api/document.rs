//! `GET /openapi.json`: the document of this listener, made once at the start.

use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use hyper::header::IF_NONE_MATCH;
use hyper::http::HeaderValue;
use hyper::http::request::Parts;

use crate::http::respond::{self, Answer};

/// The document as it is sent.
#[derive(Clone)]
pub struct ServedDocument {
    body: Bytes,
    etag: HeaderValue,
}

impl ServedDocument {
    /// From its JSON.
    pub fn new(json: String) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(json.as_bytes());
        let etag = format!("\"{:016x}\"", hasher.finish());
        let etag = HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static(""));
        Self { body: json.into(), etag }
    }

    pub(super) fn answer(&self, parts: &Parts) -> Answer {
        respond::cached(self.body.clone(), &self.etag, parts.headers.get(IF_NONE_MATCH))
    }
}
