//! Checks that an accepted token has a valid subject and has not expired beyond the leeway.
//! A token with a wrong signature or one changed character is refused.
//!
//! The bytes are a header and claims, separated by a line end; this target signs them.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::identify::{AuthSettings, Identifier, TokenKeys};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

const SECRET: &[u8; 34] = b"a secret that only this target has";
const NOW_S: u64 = 1_800_000_000;

/// The header members that a gateway reads.
#[derive(Debug, serde::Deserialize)]
struct Head {
    alg: Value,
    crit: Option<Value>,
}

/// The claims that a gateway reads. The others may be any JSON, also a number like 1E99999, which
/// is valid (RFC 8259, section 6) but exceeds every number type.
#[derive(Debug, serde::Deserialize)]
struct TokenClaims {
    sub: Value,
    exp: Value,
    nbf: Option<Value>,
    #[serde(default)]
    scope: Value,
}

pub(super) fn run(bytes: &[u8]) {
    let mut identifier = Identifier::new(keys(), 16);
    assert!(identifier.identify(Some(bytes), NOW_S).is_err());
    assert!(identifier.identify(Some(&[b"Bearer ", bytes].concat()), NOW_S).is_err());

    let at = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
    let (header, claims) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let token = sign(header, claims);
    let bearer = format!("Bearer {token}").into_bytes();
    let Ok(caller) = identifier.identify(Some(&bearer), NOW_S) else {
        return;
    };
    let sub = caller.sub();
    assert!((1..=255).contains(&sub.len()) && sub.trim() == &**sub);
    assert!(sub.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    let claims: TokenClaims =
        serde_json::from_slice(claims).unwrap_or_else(|e| panic!("accepted invalid claims: {e}"));
    assert_eq!(claims.sub, **sub);
    let exp = claims.exp.as_f64().unwrap_or_else(|| panic!("accepted without a numeric exp: {claims:?}"));
    let leeway = AuthSettings::default().leeway_s as f64;
    assert!(exp + leeway > NOW_S as f64, "accepted after its expiry: {claims:?}");
    if let Some(nbf) = claims.nbf.as_ref().and_then(Value::as_f64) {
        assert!(nbf <= NOW_S as f64 + leeway, "accepted before its nbf: {claims:?}");
    }
    let header: Head =
        serde_json::from_slice(header).unwrap_or_else(|e| panic!("accepted a header that is not JSON: {e}"));
    assert!(header.alg == "HS256" && header.crit.is_none(), "{header:?}");
    if caller.is_service() {
        assert!(claims.scope.to_string().contains("service"), "{claims:?}");
    }

    // Changes one character; the bytes determine its position and the new value.
    let sum = bytes.iter().fold(7_usize, |sum, b| sum.wrapping_mul(31).wrapping_add(usize::from(*b)));
    let mut changed = bearer;
    let index = 7 + sum % token.len();
    changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
    assert!(identifier.identify(Some(&changed), NOW_S).is_err(), "changed at {index}: {token}");
}

fn sign(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(SECRET).unwrap_or_else(|e| panic!("{e}"));
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn keys() -> Arc<TokenKeys> {
    static KEYS: OnceLock<Arc<TokenKeys>> = OnceLock::new();
    let load = || {
        let file = tempfile::NamedTempFile::new().unwrap_or_else(|e| panic!("no temporary file: {e}"));
        std::fs::write(file.path(), SECRET).unwrap_or_else(|e| panic!("{e}"));
        let path: &Path = file.path();
        let settings = AuthSettings { secret_file: Some(path.to_owned()), ..AuthSettings::default() };
        Arc::new(TokenKeys::load(&settings).unwrap_or_else(|problems| panic!("{problems:?}")))
    };
    KEYS.get_or_init(load).clone()
}
