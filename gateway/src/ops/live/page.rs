//! The files of the live page, embedded at build, and their security headers.

use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_FRAME_OPTIONS};

use crate::http::respond::{self, Answer};

/// One file.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

// The files; whether charts are available: the build included their library; and the edition, which
// identifies a build of the page: a page loaded from an older gateway shows that it is outdated.
include!(concat!(env!("OUT_DIR"), "/live_page.rs"));

/// Nothing from other origins, nothing inline, no frames around it. Charts set styles by script, which
/// this allows; trusted types keep text from becoming markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page, by its path.
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

#[cfg(test)]
mod tests;
