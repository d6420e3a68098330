//! Parses a key set file (RFC 7517): public keys for signatures, each with a `kid` and one
//! algorithm. Unusable keys are skipped; a secret makes the whole file unusable.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Number;

use crate::identify::keys::{Key, Material};
use crate::identify::verify::seconds;

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const COORDINATE_BYTES: usize = 32;
/// The most characters of a member that a message shows.
const TEXT_CHARS_MAX: usize = 64;
/// Members of private and symmetric keys only (RFC 7518, section 6; AKP has `priv`).
const SECRETS: [&str; 3] = ["d", "k", "priv"];
/// Further members of private RSA keys.
const SECRETS_RSA: [&str; 6] = ["p", "q", "dp", "dq", "qi", "oth"];

#[derive(Deserialize)]
struct KeySetFile {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    /// Not in RFC 7517, but identity providers use it for a key's end: seconds since 1970.
    exp: Option<Number>,
}

pub(super) struct KeyFile {
    /// The usable keys, by `kid`.
    pub(super) keys: HashMap<String, Arc<Key>>,
    /// The skipped keys: a published set also has keys for other uses.
    pub(super) left_out: Vec<SkippedKey>,
}

/// A key that is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SkippedKey {
    /// Which key, and why.
    pub(super) what: String,
    /// Whether it may be meant for signatures.
    pub(super) is_unusable: bool,
}

enum UnusableKey {
    /// It contains a secret, so that the whole file must not be used.
    Secret(&'static str),
    /// It is for another use than signatures.
    OtherUse,
    /// Its kind is not supported, or it is damaged.
    Unusable(String),
}

impl From<String> for UnusableKey {
    fn from(why: String) -> Self {
        Self::Unusable(why)
    }
}

/// The usable keys of a file, or all its problems: it has a secret, or no usable key. `is_service`
/// selects the key ids that may sign for a service.
pub(super) fn parse(json: &[u8], is_service: impl Fn(&str) -> bool) -> Result<KeyFile, Vec<String>> {
    // Only the position: the library's message may quote the file, which may be the wrong one.
    let file: KeySetFile = serde_json::from_slice(json).map_err(|e| {
        vec![format!(
            "line {}, column {}: not a JSON object with a list `keys`; give the identity \
             provider's JWKS",
            e.line(),
            e.column()
        )]
    })?;
    let (mut secrets, mut left_out, mut keys) = (Vec::new(), Vec::new(), HashMap::new());
    for (index, value) in file.keys.into_iter().enumerate() {
        let kid: String = text_of(&value, "kid");
        let mut leave_out = |why: &str, is_unusable| {
            // The `kid` stays the same when the order of the set changes.
            let name = if kid.is_empty() { format!("keys[{index}]") } else { format!("kid {kid:?}") };
            left_out.push(SkippedKey { what: format!("{name}: {why}"), is_unusable });
        };
        match key(value, &is_service) {
            Ok((kid, _)) if keys.contains_key(&kid) => {
                leave_out("duplicate `kid`: tokens could not select one of the keys", true);
            }
            Ok((kid, key)) => _ = keys.insert(kid, Arc::new(key)),
            Err(UnusableKey::Secret(why)) => secrets.push(format!("keys[{index}] (kid {kid:?}): {why}")),
            Err(UnusableKey::OtherUse) => leave_out("it is not for signatures", false),
            Err(UnusableKey::Unusable(why)) => leave_out(&why, true),
        }
    }
    if secrets.is_empty() && keys.is_empty() {
        secrets.extend(left_out.drain(..).map(|key| key.what));
        secrets.push("no usable key for signatures in it; add an ES256, EdDSA or RS256 key".into());
    }
    if secrets.is_empty() { Ok(KeyFile { keys, left_out }) } else { Err(secrets) }
}

/// One usable key, with its name.
fn key(value: serde_json::Value, is_service: impl Fn(&str) -> bool) -> Result<(String, Key), UnusableKey> {
    let kty = text_of(&value, "kty");
    if kty == "oct" {
        return Err(UnusableKey::Secret(
            "a symmetric key: every reader of this file could make tokens; remove it, or use an auth \
                secret file instead of a JWKS",
        ));
    }
    let has = |member: &&str| value.get(member).is_some_and(|value| !value.is_null());
    if SECRETS.iter().any(&has) || (kty == "RSA" && SECRETS_RSA.iter().any(has)) {
        return Err(UnusableKey::Secret("a private key; publish only its public half, and replace it"));
    }
    let jwk = Jwk::deserialize(value)
        .map_err(|_| "not a JWK: `kty` is missing or a member has the wrong type".to_owned())?;
    let verifies = jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") || !verifies {
        return Err(UnusableKey::OtherUse);
    }
    let (algorithm, read): (_, fn(&Jwk) -> _) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => (Algorithm::ES256, ec_key),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, ed_key),
        ("RSA", _) => (Algorithm::RS256, rsa_key),
        _ => return Err("neither EC P-256, OKP Ed25519 nor RSA".to_owned().into()),
    };
    if jwk.alg.as_ref().is_some_and(|alg| alg.parse().ok() != Some(algorithm)) {
        let why = format!("its `alg` is not {algorithm:?} (accepted are ES256, EdDSA and RS256)");
        return Err(why.into());
    }
    let material = Material::Public(read(&jwk)?);
    let ends_s = jwk.exp.as_ref().map(|exp| seconds(exp, f64::floor));
    match jwk.kid {
        Some(kid) if !kid.is_empty() => {
            let may_be_service = is_service(&kid);
            Ok((kid, Key { algorithm, may_be_service, ends_s, material }))
        }
        _ => Err("no `kid`; give it the name that tokens carry".to_owned().into()),
    }
}

/// A member's text, shortened for a log line; empty if it is not a text.
fn text_of(value: &serde_json::Value, member: &str) -> String {
    let text = value.get(member).and_then(serde_json::Value::as_str).unwrap_or_default();
    text.chars().take(TEXT_CHARS_MAX).collect()
}

fn ec_key(jwk: &Jwk) -> Result<DecodingKey, String> {
    let x = bytes(jwk.x.as_ref(), "x", Some(COORDINATE_BYTES))?;
    let y = bytes(jwk.y.as_ref(), "y", Some(COORDINATE_BYTES))?;
    // An uncompressed point (SEC 1, 2.3.3).
    Ok(DecodingKey::from_ec_der(&[&[4], x.as_slice(), &y].concat()))
}

fn ed_key(jwk: &Jwk) -> Result<DecodingKey, String> {
    Ok(DecodingKey::from_ed_der(&bytes(jwk.x.as_ref(), "x", Some(COORDINATE_BYTES))?))
}

fn rsa_key(jwk: &Jwk) -> Result<DecodingKey, String> {
    let n = number(&bytes(jwk.n.as_ref(), "n", None)?);
    let e = number(&bytes(jwk.e.as_ref(), "e", None)?);
    let bits = n.first().map_or(0, |high| n.len() * 8 - high.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(format!(
            "an RSA key of {bits} bits; needed are {} to {}",
            RSA_BITS.start(),
            RSA_BITS.end()
        ));
    }
    // Exponent 1 makes every message its own signature; the library accepts up to 33 bits.
    let odd = e.last().is_some_and(|low| low % 2 == 1);
    if !odd || e == [1] || e.len() > 4 {
        return Err("its exponent `e` must be odd, above 1 and at most 32 bits".into());
    }
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

fn bytes(member: Option<&String>, name: &str, len: Option<usize>) -> Result<Vec<u8>, String> {
    let text = member.ok_or_else(|| format!("`{name}` is missing"))?;
    let bytes =
        URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("`{name}` is not base64url without padding"))?;
    match len {
        Some(len) if bytes.len() != len => {
            Err(format!("`{name}` has {} bytes and must have {len}", bytes.len()))
        }
        _ => Ok(bytes),
    }
}

/// Removes leading zeros, which some issuers add and the cryptography refuses.
fn number(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|b| *b == 0).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
