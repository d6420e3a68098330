//! The page itself: its files, as they were embedded at build, and the headers that keep it to itself.

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};

use crate::http::respond::{self, Answer};

/// One file.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/live_page.rs"));

/// Nothing from elsewhere, nothing inline, nothing that another page may put into a frame. Charts set styles by script,
/// which this allows; text never becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page, by its path.
#[must_use]
pub fn file(path: &str) -> Option<Answer> {
    let asset = ASSETS.iter().find(|asset| asset.path == path)?;
    let mut answer = respond::text(asset.content_type, asset.bytes);
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    headers.into_iter().for_each(|(name, value)| {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    });
    Some(answer)
}

/// Whether charts can be drawn: their library was there at build.
#[must_use]
pub fn has_charts() -> bool {
    HAS_CHARTS
}

/// Tells one build of the page from another: a page that was loaded from an older gateway says that it is outdated.
#[must_use]
pub fn edition() -> &'static str {
    EDITION
}

#[cfg(test)]
mod tests;
