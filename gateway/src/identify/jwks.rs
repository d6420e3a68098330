//! Owns what a key set file (RFC 7517) may hold: public keys for signatures, each with its own name
//! and one algorithm.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Number;

use super::keys::Key;
use super::verify::seconds;

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const COORDINATE_BYTES: usize = 32;

#[derive(Deserialize)]
struct File {
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
    /// No member of RFC 7517, but identity providers tell so when a key ends: seconds since 1970.
    exp: Option<Number>,
    /// Only its presence matters, and nothing that could print it is kept.
    d: Option<IgnoredAny>,
}

/// The keys of a file by `kid`, or everything that is wrong with it. `is_service` says which names
/// may speak for a service.
pub(super) fn parse(
    json: &[u8],
    is_service: impl Fn(&str) -> bool,
) -> Result<HashMap<String, Key>, Vec<String>> {
    // Places, not the library's words: those may quote the file, which may be the wrong one.
    let file: File = serde_json::from_slice(json).map_err(|e| {
        vec![format!(
            "line {}, column {}: not a JSON object with a list `keys`; give the identity \
             provider's JWKS",
            e.line(),
            e.column()
        )]
    })?;
    let mut problems = Vec::new();
    let mut keys = HashMap::new();
    for (index, value) in file.keys.into_iter().enumerate() {
        let kid = value.get("kid").and_then(|kid| kid.as_str()).unwrap_or_default().to_owned();
        let at = format!("keys[{index}] (kid {kid:?})");
        match key(value, &is_service) {
            Ok(None) => tracing::info!(kid, "a key that is not for signatures is left out"),
            Ok(Some((kid, key))) => {
                if keys.insert(kid, key).is_some() {
                    problems.push(format!("{at}: another key has this `kid`; rename one"));
                }
            }
            Err(problem) => problems.push(format!("{at}: {problem}")),
        }
    }
    if keys.is_empty() && problems.is_empty() {
        problems.push("no key for signatures in it; add an ES256, EdDSA or RS256 key".into());
    }
    if problems.is_empty() { Ok(keys) } else { Err(problems) }
}

/// One key, or `None` if it is meant for encryption: identity providers publish such keys beside
/// those for signatures.
fn key(value: serde_json::Value, is_service: impl Fn(&str) -> bool) -> Result<Option<(String, Key)>, String> {
    let jwk = Jwk::deserialize(value)
        .map_err(|_| "not a JWK: `kty` is missing or a member has the wrong type".to_owned())?;
    if jwk.kty == "oct" {
        return Err("a symmetric key; whoever can read this file could make tokens: take it out, \
             or use an auth secret file instead of a JWKS"
            .into());
    }
    if jwk.d.is_some() {
        return Err("a private key; publish only its public half, and replace it".into());
    }
    let verifies = jwk.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"));
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") || !verifies {
        return Ok(None);
    }
    let (algorithm, name, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => (Algorithm::ES256, "ES256", ec_key(&jwk)?),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA", ed_key(&jwk)?),
        ("RSA", _) => (Algorithm::RS256, "RS256", rsa_key(&jwk)?),
        _ => return Err("neither EC P-256, OKP Ed25519 nor RSA; take it out".into()),
    };
    if jwk.alg.as_ref().is_some_and(|alg| alg != name) {
        return Err(format!("its `alg` must be {name} (accepted are ES256, EdDSA and RS256)"));
    }
    let ends_s = jwk.exp.as_ref().map(|exp| seconds(exp, f64::floor));
    match jwk.kid {
        Some(kid) if !kid.is_empty() => {
            let key = Key::public(decoding, algorithm, is_service(&kid), ends_s);
            Ok(Some((kid, key)))
        }
        _ => Err("no `kid`; give it the name that tokens carry".into()),
    }
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
    // 1 would make every message its own signature; the library takes up to 33 bits.
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

/// Without leading zeros, which some issuers add and the cryptography refuses.
fn number(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().skip_while(|b| *b == 0).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests {
    use serde_json::json;

    use super::*;

    fn b64(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn ed(kid: &str) -> serde_json::Value {
        json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": kid, "x": b64(&[7; 32])})
    }

    fn ec(kid: &str) -> serde_json::Value {
        json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(&[7; 32]), "y": b64(&[7; 32])})
    }

    fn rsa(bits: usize, e: &[u8]) -> serde_json::Value {
        let n = vec![0xff; bits / 8];
        json!({"kty": "RSA", "alg": "RS256", "kid": "r", "n": b64(&n), "e": b64(e)})
    }

    fn with(mut key: serde_json::Value, name: &str, value: serde_json::Value) -> serde_json::Value {
        key[name] = value;
        key
    }

    fn without(mut key: serde_json::Value, name: &str) -> serde_json::Value {
        key.as_object_mut().unwrap().remove(name);
        key
    }

    fn load(keys: &[serde_json::Value]) -> Result<HashMap<String, Key>, Vec<String>> {
        parse(json!({ "keys": keys }).to_string().as_bytes(), |kid| kid == "pay")
    }

    fn problem(key: serde_json::Value) -> String {
        let problems = load(&[key]).map(|keys| keys.len()).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems[0].clone()
    }

    #[test]
    fn each_key_has_one_algorithm_and_only_listed_ones_may_be_a_service() {
        let keys = load(&[ed("pay"), ec("app"), rsa(2048, &[1, 0, 1])]).unwrap();
        assert_eq!(keys["pay"].algorithm, Algorithm::EdDSA);
        assert_eq!(keys["app"].algorithm, Algorithm::ES256);
        assert_eq!(keys["r"].algorithm, Algorithm::RS256);
        assert!(keys["pay"].may_be_service && !keys["app"].may_be_service);
    }

    #[test]
    fn each_kind_of_bad_key_is_refused_in_words() {
        let secret = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0LXNlY3JldA"});
        let p384 = with(ec("a"), "crv", json!("P-384"));
        for (key, words) in [
            (secret, "symmetric"),
            (with(ed("a"), "d", json!("cHJpdmF0ZS1rZXk")), "private"),
            (without(ed("a"), "kid"), "no `kid`"),
            (with(ed("a"), "kid", json!("")), "no `kid`"),
            (with(ed("a"), "kid", json!(7)), "wrong type"),
            (without(ed("a"), "kty"), "`kty` is missing"),
            (with(ed("a"), "alg", json!("ES256")), "must be EdDSA"),
            (with(ec("a"), "alg", json!("HS256")), "must be ES256"),
            (with(rsa(2048, &[3]), "alg", json!("PS256")), "must be RS256"),
            (p384, "neither EC P-256"),
            (with(ed("a"), "x", json!("c2hvcnQ")), "`x` has 5 bytes"),
            (with(ed("a"), "x", json!("!!")), "base64url"),
            (without(ec("a"), "y"), "`y` is missing"),
            (rsa(1024, &[1, 0, 1]), "1024 bits"),
            (rsa(16_384, &[1, 0, 1]), "16384 bits"),
            (rsa(2048, &[1]), "exponent"),
            (rsa(2048, &[]), "exponent"),
            (rsa(2048, &[2]), "exponent"),
            (rsa(2048, &[1, 0, 0, 0, 1]), "exponent"),
            (json!(5), "not a JWK"),
        ] {
            let told = problem(key.clone());
            assert!(told.contains(words), "{key}: {told}");
            assert!(!told.contains("c2Vj") && !told.contains("cHJp"), "tells a secret: {told}");
        }
    }

    #[test]
    fn leading_zeros_do_not_make_a_small_modulus_large() {
        let mut n = vec![0; 128];
        n.extend([0xff; 128]);
        assert!(problem(with(rsa(2048, &[3]), "n", json!(b64(&n)))).contains("1024 bits"));
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems = load(&[ed("a"), ec("a"), without(ed("b"), "x"), json!({"kty": "oct"})]);
        let problems = problems.map(|keys| keys.len()).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("keys[1]") && problems[0].contains("another key"));
        assert!(problems[1].contains("keys[2]") && problems[2].contains("keys[3]"));
    }

    #[test]
    fn keys_for_encryption_are_left_out() {
        let enc = with(rsa(2048, &[1, 0, 1]), "use", json!("enc"));
        let wrap = with(ed("w"), "key_ops", json!(["wrapKey"]));
        assert_eq!(load(&[enc.clone(), wrap, with(ed("a"), "use", json!("sig"))]).unwrap().len(), 1);
        assert!(problem(enc).contains("no key for signatures"));
    }

    #[test]
    fn what_is_no_key_set_is_told_by_place_not_by_content() {
        for text in ["", "\"hunter2hunter2\"", "{\"keys\": \"hunter2\"}", "hunter2", "[]", "{}"] {
            let problems = parse(text.as_bytes(), |_| false).map(|keys| keys.len()).unwrap_err();
            assert!(problems[0].contains("line 1"), "{problems:?}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
        let problems = load(&[]).map(|keys| keys.len()).unwrap_err();
        assert!(problems[0].contains("no key"), "{problems:?}");
    }
}
