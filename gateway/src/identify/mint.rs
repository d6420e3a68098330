//! Makes tokens with the shared secret, for `gateway token` and load tests.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use crate::domain::subject::{SUB_RULE, is_subject};

/// Why no token was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The gateway would refuse this `sub`.
    #[error("a buyer's `sub` must be {SUB_RULE}")]
    BadSubject,
    /// The gateway would refuse to start with this secret.
    #[error("the secret must have at least 32 bytes")]
    ShortSecret,
    /// The token would be expired at once, or its end is out of range.
    #[error("the time to live must be at least 1 second and end within the range of time")]
    BadTtl,
    /// The library could not sign.
    #[error("signing failed: {0}")]
    Sign(String),
}

#[derive(Serialize)]
struct MintClaims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// Makes a token that a gateway with the same secret accepts from `now_s` for `ttl_s` seconds.
pub fn mint(
    secret: &[u8],
    sub: &str,
    service: bool,
    ttl_s: u64,
    now_s: u64,
    iss: Option<&str>,
    aud: Option<&str>,
) -> Result<String, MintError> {
    if secret.len() < super::files::SECRET_BYTES_MIN {
        return Err(MintError::ShortSecret);
    }
    if !is_subject(sub) {
        return Err(MintError::BadSubject);
    }
    let exp = now_s.checked_add(ttl_s).filter(|_| ttl_s > 0).ok_or(MintError::BadTtl)?;
    let scope = service.then_some("service");
    let claims = MintClaims { sub, iat: now_s, exp, scope, iss, aud };
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .map_err(|e| MintError::Sign(e.to_string()))
}
