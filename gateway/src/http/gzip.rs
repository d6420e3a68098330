//! Compresses answers for the clients that accept it, within a budget of CPU time for each worker.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::time::Instant;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY};
use hyper::http::request::Parts;
use rustc_hash::FxHashMap;

use crate::http::respond::{self, Answer};

/// Smaller bodies fit into a packet or two as they are.
const BODY_BYTES_MIN: usize = 1024;
/// Bytes that a worker compresses in a second, and at once: a hundredth of a core or so. What exceeds it is sent as it
/// is, so that no client can make this costly.
const BYTES_PER_SECOND: f64 = (2 << 20) as f64;
/// Compressed bodies that a worker keeps.
const KEPT_MAX: usize = 512;
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Compressed bodies of one worker.
#[derive(Default)]
pub struct GzipCache {
    /// By tag: it identifies a body, whatever else a request says.
    kept: RefCell<FxHashMap<HeaderValue, Bytes>>,
    kept_bytes: Cell<usize>,
    /// When the budget was last looked at, and what was left of it.
    left: Cell<Option<(Instant, f64)>>,
}

impl GzipCache {
    /// 200 or 304 with JSON that may be cached for a second: compressed if the client accepts that, and the budget
    /// has room. The tag identifies the body among all that this cache answers with; it is weak, since it is the same
    /// for both forms.
    pub fn answer(
        &self,
        parts: &Parts,
        etag: &HeaderValue,
        now: Instant,
        render: impl FnOnce() -> Bytes,
    ) -> Answer {
        let mut answer = respond::not_modified(etag, parts.headers.get(IF_NONE_MATCH))
            .unwrap_or_else(|| self.fresh(parts, etag, now, render));
        answer.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
        answer
    }

    fn fresh(
        &self,
        parts: &Parts,
        etag: &HeaderValue,
        now: Instant,
        render: impl FnOnce() -> Bytes,
    ) -> Answer {
        if !is_accepted(&parts.headers) {
            return respond::fresh(render(), etag);
        }
        if let Some(gzip) = self.kept.borrow().get(etag) {
            return compressed(gzip.clone(), etag);
        }
        let body = render();
        if body.len() < BODY_BYTES_MIN || !self.take(body.len(), now) {
            return respond::fresh(body, etag);
        }
        let gzip = gzip(&body);
        self.keep(etag, gzip.clone());
        compressed(gzip, etag)
    }

    /// Takes a body's length from the budget, if it is there.
    #[expect(clippy::cast_precision_loss, reason = "a body has less than 2^53 bytes")]
    fn take(&self, bytes: usize, now: Instant) -> bool {
        let left = self.left.get().map_or(BYTES_PER_SECOND, |(at, left)| {
            let since = now.saturating_duration_since(at).as_secs_f64();
            (left + since * BYTES_PER_SECOND).min(BYTES_PER_SECOND)
        });
        // A body that is longer than the budget takes all of it.
        let cost = (bytes as f64).min(BYTES_PER_SECOND);
        let is_there = cost <= left;
        self.left.set(Some((now, if is_there { left - cost } else { left })));
        is_there
    }

    /// Keeps a compressed body; once there are too many, they are made again.
    fn keep(&self, etag: &HeaderValue, new: Bytes) {
        let mut kept = self.kept.borrow_mut();
        let mut total = self.kept_bytes.get() + new.len();
        if kept.len() == KEPT_MAX || total > KEPT_BYTES_MAX {
            kept.clear();
            total = new.len();
        }
        self.kept_bytes.set(total);
        kept.insert(etag.clone(), new);
    }
}

fn compressed(gzip: Bytes, etag: &HeaderValue) -> Answer {
    let mut answer = respond::fresh(gzip, etag);
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing into a Vec can't fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}

/// Whether the client accepts gzip (RFC 9110, section 12.5.3).
fn is_accepted(headers: &HeaderMap) -> bool {
    let mut any = None;
    for value in headers.get_all(ACCEPT_ENCODING) {
        for coding in value.to_str().unwrap_or_default().split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let (name, weight) = (name.trim(), weight.trim().trim_start_matches(['q', 'Q']));
            let weight = weight.trim_start().trim_start_matches('=').trim();
            let is_wanted = weight.is_empty() || weight.parse().is_ok_and(|weight: f32| weight > 0.0);
            if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
                return is_wanted;
            }
            if name == "*" {
                any = Some(is_wanted);
            }
        }
    }
    any == Some(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
