//! Makes tokens with the shared secret, for `gateway token` and load tests.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use crate::domain::subject::{SUB_RULE, is_subject};
use crate::identify::files::SECRET_BYTES_MIN;

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

/// Makes a token that a gateway with the same secret accepts from `now_s` for `ttl_s` seconds; the error says why
/// none was made.
pub fn mint(
    secret: &[u8],
    sub: &str,
    service: bool,
    ttl_s: u64,
    now_s: u64,
    iss: Option<&str>,
    aud: Option<&str>,
) -> Result<String, String> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(format!("the secret must have at least {SECRET_BYTES_MIN} bytes"));
    }
    if !is_subject(sub) {
        return Err(format!("a buyer's `sub` must be {SUB_RULE}"));
    }
    let Some(exp) = now_s.checked_add(ttl_s).filter(|_| ttl_s > 0) else {
        return Err("the time to live must be at least 1 second and end within the range of time".to_owned());
    };
    let scope = service.then_some("service");
    let claims = MintClaims { sub, iat: now_s, exp, scope, iss, aud };
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(secret))
        .map_err(|e| format!("signing failed: {e}"))
}
