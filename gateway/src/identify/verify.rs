//! The rules of a token: algorithm, signature, claims, validity period.
//!
//! The library only checks the signature. Its own validation reads the clock, allows 60 s and skips `nbf` by default,
//! so every rule about claims is written here.

use std::borrow::Cow;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use crate::domain::subject::is_subject;
use crate::identify::keys::{AuthSettings, Key, KeySet};
use crate::identify::{Identified, NotIdentified, Unauthenticated};

const SERVICE_SCOPE: &str = "service";

/// A verified token, with the times that must be checked at every use.
#[derive(Debug, Clone)]
pub(super) struct Verified {
    pub(super) caller: Identified,
    /// The first second in which it is expired, the leeway included.
    ends_s: u64,
    /// The first second in which it is valid, the leeway included.
    begins_s: u64,
    /// The end of the key that signed it.
    key_ends_s: Option<u64>,
}

impl Verified {
    /// Checks that the token is valid at `now_s`.
    pub(super) fn check_time(&self, now_s: u64) -> Result<(), Unauthenticated> {
        if self.key_ends_s.is_some_and(|ends_s| now_s >= ends_s) {
            return Err(Unauthenticated::UnknownKey);
        }
        if self.is_over(now_s) {
            return Err(Unauthenticated::Expired);
        }
        if now_s < self.begins_s {
            return Err(Unauthenticated::NotYetValid);
        }
        Ok(())
    }

    pub(super) fn is_over(&self, now_s: u64) -> bool {
        now_s >= self.ends_s
    }

    #[cfg(test)]
    pub(super) fn for_test(sub: &str, ends_s: u64) -> Self {
        Self { caller: Identified::for_test(sub, false), ends_s, begins_s: 0, key_ends_s: None }
    }
}

/// The relevant header members. Hints such as `jku` or `jwk` are not read: a token must never
/// supply its own key.
#[derive(Deserialize)]
struct TokenHeader<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default)]
    kid: Option<Cow<'a, str>>,
    /// Its presence, even as null, is enough to refuse.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

#[derive(Deserialize)]
struct Claims<'a> {
    #[serde(borrow, default)]
    sub: Option<Cow<'a, str>>,
    #[serde(default)]
    exp: Option<Number>,
    #[serde(default)]
    nbf: Option<Number>,
    #[serde(borrow, default)]
    iss: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    aud: Option<OneOrMany<'a>>,
    #[serde(borrow, default)]
    scope: Option<OneOrMany<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    One(#[serde(borrow)] Cow<'a, str>),
    Many(Vec<String>),
}

/// The header that was parsed last: an issuer's tokens share one until its key changes.
#[derive(Default)]
pub(super) struct LastHeader(Option<(Box<[u8]>, u64, Arc<Key>)>);

impl LastHeader {
    /// The key for a token with this header.
    fn key(&mut self, header: &[u8], keys: &KeySet) -> Result<Arc<Key>, Unauthenticated> {
        let known = self
            .0
            .as_ref()
            .filter(|(text, generation, _)| **text == *header && *generation == keys.generation());
        if let Some((.., key)) = known {
            return Ok(key.clone());
        }
        let json = decode(header)?;
        let read: TokenHeader<'_> = parse(&json)?;
        if read.crit {
            return Err(Unauthenticated::UnknownExtension);
        }
        // The key decides the algorithm, and the header must match. Otherwise a public key could be
        // used as an HMAC secret.
        let key = keys.find(&read.alg, read.kid.as_deref())?;
        self.0 = Some((header.into(), keys.generation(), key.clone()));
        Ok(key.clone())
    }
}

/// Verifies a token that is not cached. The signature comes last: with a public key it costs far
/// more than the other checks, so an invalid claim must not cause it.
pub(super) fn verify<W>(
    token: &[u8],
    keys: &KeySet,
    settings: &AuthSettings,
    last_header: &mut LastHeader,
    now_s: u64,
    may_check: impl FnOnce() -> Result<(), W>,
    checked: impl FnOnce(bool),
) -> Result<Verified, NotIdentified<W>> {
    let mut dots = memchr::memchr_iter(b'.', token);
    let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
        return Err(Unauthenticated::Malformed.into());
    };
    let (header, claims) = (&token[..first], &token[first + 1..second]);
    let (message, signature) = (&token[..second], &token[second + 1..]);

    let key = last_header.key(header, keys)?;
    if key.is_over(now_s) {
        return Err(Unauthenticated::UnknownKey.into());
    }
    let verified = check_claims(claims, &key, settings, now_s)?;
    if key.is_public() {
        may_check().map_err(NotIdentified::Withheld)?;
        let signed = key.has_signed(message, signature);
        checked(signed.is_ok());
        signed?;
    } else {
        key.has_signed(message, signature)?;
    }
    Ok(verified)
}

/// Checks the claims of a token; its signature is not checked yet.
fn check_claims(
    claims: &[u8],
    key: &Key,
    settings: &AuthSettings,
    now_s: u64,
) -> Result<Verified, Unauthenticated> {
    let claims_json = decode(claims)?;
    let claims: Claims<'_> = parse(&claims_json)?;
    if let Some(issuer) = &settings.issuer
        && claims.iss.as_deref() != Some(issuer.as_str())
    {
        return Err(Unauthenticated::WrongIssuer);
    }
    if let Some(audience) = &settings.audience
        && !claims.aud.as_ref().is_some_and(|aud| aud.has(audience))
    {
        return Err(Unauthenticated::WrongAudience);
    }
    let sub = claims.sub.as_deref().filter(|sub| is_subject(sub));
    let sub = sub.ok_or(Unauthenticated::BadSubject)?;
    let verified = Verified {
        caller: Identified {
            sub: sub.into(),
            service: key.may_be_service && claims.scope.as_ref().is_some_and(OneOrMany::is_service),
        },
        ends_s: seconds(&claims.exp.ok_or(Unauthenticated::MissingExpiry)?, f64::floor)
            .saturating_add(settings.leeway_s),
        begins_s: claims.nbf.map_or(0, |nbf| seconds(&nbf, f64::ceil)).saturating_sub(settings.leeway_s),
        key_ends_s: key.ends_s,
    };
    verified.check_time(now_s)?;
    Ok(verified)
}

impl OneOrMany<'_> {
    fn has(&self, wanted: &str) -> bool {
        match self {
            Self::One(one) => one == wanted,
            Self::Many(many) => many.iter().any(|one| one == wanted),
        }
    }

    /// A scope text is a list separated by spaces (RFC 6749, 3.3).
    fn is_service(&self) -> bool {
        match self {
            Self::One(list) => list.split(' ').any(|scope| scope == SERVICE_SCOPE),
            Self::Many(_) => self.has(SERVICE_SCOPE),
        }
    }
}

/// The text that a part of a token encodes.
fn decode(part: &[u8]) -> Result<String, Unauthenticated> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(part).map_err(|_| Unauthenticated::Malformed)?;
    String::from_utf8(bytes).map_err(|_| Unauthenticated::Malformed)
}

/// Parses a JSON object as a `T`. Serde alone would also accept an array of the fields, which is
/// not a valid JWT.
fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Unauthenticated> {
    if !json.trim_ascii_start().starts_with('{') {
        return Err(Unauthenticated::Malformed);
    }
    serde_json::from_str(json).map_err(|_| Unauthenticated::Malformed)
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A NumericDate in whole seconds. Fractions are valid (RFC 7519, 2) and rounded against the
/// caller; values outside of `u64` are clamped.
pub(super) fn seconds(number: &Number, round: fn(f64) -> f64) -> u64 {
    match number.as_u64() {
        Some(whole) => whole,
        None => round(number.as_f64().unwrap_or(0.0)) as u64,
    }
}
