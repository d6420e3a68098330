//! Authentication: a bearer token in, an [`Identified`] out, and nothing else can make one.
//!
//! Deliberately absent: Redis, HTTP status codes, reading a clock. The time is a parameter, so that tests can check
//! the exact second in which a token ends.

mod cache;
mod files;
mod jwks;
mod keys;
mod mint;
pub mod ops_tokens;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
mod verify;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

pub use files::{Secret, read_secret};
pub(crate) use files::{read_limited, shared_mode, warn_if_shared};
pub use keys::{AuthSettings, LEEWAY_S_DEFAULT, LEEWAY_S_MAX, TokenKeys};
pub use mint::mint;

use crate::domain::label::label;
use cache::Cache;
use verify::LastHeader;

/// Longer tokens are refused unread, which bounds the work for unauthenticated requests.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// The most verified tokens of public keys in one worker's cache: about 5 MB, and the tokens
/// themselves.
pub const CACHE_ENTRIES_DEFAULT: usize = 65_536;

/// An authenticated caller. Only a verified token makes one, so no further check is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    sub: Arc<str>,
    service: bool,
}

impl Identified {
    /// The buyer's or service's name: see [`crate::domain::subject`].
    pub fn sub(&self) -> &Arc<str> {
        &self.sub
    }

    /// Whether this is the payment or the order service.
    pub fn is_service(&self) -> bool {
        self.service
    }

    /// Makes a caller without a token.
    #[cfg(test)]
    #[allow(dead_code, reason = "used by tests of later stages")]
    pub(crate) fn for_test(sub: &str, service: bool) -> Self {
        Self { sub: sub.into(), service }
    }
}

label! {
    /// Why authentication failed, with the explanation for the client: it never repeats the token's contents.
    #[derive(Hash, thiserror::Error)]
    #[error("{}", self.name())]
    Unauthenticated:
    /// No `Authorization`, or another scheme than `Bearer`.
    Missing "Send the header `Authorization: Bearer <token>`.",
    /// Over [`TOKEN_BYTES_MAX`].
    TooLong "The token is longer than 4096 bytes.",
    /// Not a JWT: wrong parts, encoding or JSON, or a claim of the wrong type.
    Malformed "The token is not a well-formed JWT.",
    /// The header demands an extension (`crit`); none is supported.
    UnknownExtension "The token demands an extension that is not supported.",
    /// An algorithm other than that of the configured key; `none` included.
    WrongAlgorithm "The token is signed with an algorithm that is not accepted.",
    /// No `kid`, or one that the key set does not have.
    UnknownKey "The token is signed with a key that is not known.",
    /// A wrong signature: forged, damaged, or of another key.
    BadSignature "The token's signature is not valid.",
    /// No `exp`.
    MissingExpiry "The token has no expiry time (`exp`).",
    /// Past `exp`.
    Expired "The token has expired.",
    /// Before `nbf`.
    NotYetValid "The token is not valid yet.",
    /// `iss` is not the configured one.
    WrongIssuer "The token comes from another issuer.",
    /// `aud` does not name the configured audience.
    WrongAudience "The token is meant for another audience.",
    /// `sub` is missing or invalid: see [`crate::domain::subject`].
    BadSubject "The token's subject (`sub`) must be 1 to 255 visible ASCII characters, with blanks only between them.",
}

impl Unauthenticated {
    /// The explanation for the client.
    pub fn detail(self) -> &'static str {
        self.name()
    }

    /// The `error` of `WWW-Authenticate` (RFC 6750, 3.1); absent if the request had no token.
    pub fn token_error_code(self) -> Option<&'static str> {
        match self {
            Self::Missing => None,
            _ => Some("invalid_token"),
        }
    }
}

/// Why a caller was not identified, if signature checks may be withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotIdentified<W> {
    /// The token is missing or invalid.
    Unauthenticated(Unauthenticated),
    /// The signature was not checked, for this reason.
    Withheld(W),
}

impl<W> From<Unauthenticated> for NotIdentified<W> {
    fn from(why: Unauthenticated) -> Self {
        Self::Unauthenticated(why)
    }
}

/// Authenticates tokens. Each worker has its own, so that the hot path shares only a read of the
/// current keys.
pub struct Identifier {
    keys: Arc<TokenKeys>,
    cache: Cache,
    last_header: LastHeader,
}

impl Identifier {
    /// An identifier that caches up to `cache_entries` verified tokens if that is faster than
    /// verification; 0 disables the cache.
    pub fn new(keys: Arc<TokenKeys>, cache_entries: usize) -> Self {
        let cache_entries = if keys.are_public() { cache_entries } else { 0 };
        Self { keys, cache: Cache::new(cache_entries), last_header: LastHeader::default() }
    }

    /// Authenticates this `Authorization` value at `now_s` seconds since 1970.
    pub fn identify(
        &mut self,
        authorization: Option<&[u8]>,
        now_s: u64,
    ) -> Result<Identified, Unauthenticated> {
        let identified = self.identify_within(authorization, now_s, || Ok(()), |_| ());
        identified.map_err(|refused: NotIdentified<Infallible>| match refused {
            NotIdentified::Unauthenticated(why) => why,
            NotIdentified::Withheld(never) => match never {},
        })
    }

    /// Authenticates like [`Self::identify`], but `may_check` may withhold a signature check that costs more than a
    /// refusal: one with a public key. `checked` learns whether the signature was right.
    pub fn identify_within<W>(
        &mut self,
        authorization: Option<&[u8]>,
        now_s: u64,
        may_check: impl FnOnce() -> Result<(), W>,
        checked: impl FnOnce(bool),
    ) -> Result<Identified, NotIdentified<W>> {
        let token = bearer(authorization)?;
        let keys = self.keys.current();
        if let Some(known) = self.cache.get(token, keys.generation()) {
            known.check_time(now_s)?;
            return Ok(known.caller.clone());
        }
        let (settings, last_header) = (self.keys.settings(), &mut self.last_header);
        let verified = verify::verify(token, &keys, settings, last_header, now_s, may_check, checked)?;
        let caller = verified.caller.clone();
        self.cache.put(token, verified, keys.generation(), now_s);
        Ok(caller)
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identifier").field("keys", &self.keys).finish_non_exhaustive()
    }
}

/// The one token of `Authorization: Bearer <token>`. Another scheme counts as no token, since the
/// response to that names the expected scheme.
pub(crate) fn bearer(authorization: Option<&[u8]>) -> Result<&[u8], Unauthenticated> {
    const SCHEME: &[u8] = b"bearer";
    let value = authorization.ok_or(Unauthenticated::Missing)?.trim_ascii();
    let scheme_len = value.iter().position(|b| *b == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(scheme_len);
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Unauthenticated::Missing);
    }
    let token = rest.trim_ascii_start();
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Unauthenticated::TooLong);
    }
    // Visible characters only: no second token, tab or control character. Without an early exit the
    // compiler vectorises the loop.
    if token.is_empty() || !token.iter().fold(true, |all, byte| all & byte.is_ascii_graphic()) {
        return Err(Unauthenticated::Malformed);
    }
    Ok(token)
}
