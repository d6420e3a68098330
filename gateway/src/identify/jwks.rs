//! What a key set file (RFC 7517) holds for us: public keys for signatures, each with its own name and one algorithm. A key
//! that can't be used is left out; a secret makes the whole file unusable.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Number;

use crate::identify::keys::Key;
use crate::identify::verify::seconds;

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
const COORDINATE_BYTES: usize = 32;
/// Of a member that is named in a text.
const TEXT_CHARS_MAX: usize = 64;
/// Members that only a private or a symmetric key has (RFC 7518, section 6; AKP has `priv`).
const SECRETS: [&str; 3] = ["d", "k", "priv"];
/// And of an RSA key.
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
    /// No member of RFC 7517, but identity providers tell so when a key ends: seconds since 1970.
    exp: Option<Number>,
}

/// What a key set file has for us.
pub(super) struct KeyFile {
    /// The usable keys, by `kid`.
    pub(super) keys: HashMap<String, Key>,
    /// The other keys: others publish the set, for all their users.
    pub(super) left_out: Vec<SkippedKey>,
}

/// A key that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SkippedKey {
    /// Which key, and why.
    pub(super) what: String,
    /// It may be meant for signatures; otherwise it is not.
    pub(super) is_unusable: bool,
}

/// Why a key can't be used.
enum UnusableKey {
    /// It is or holds a secret, so that the whole file must not be used.
    Secret(&'static str),
    /// It is for something else than signatures.
    OtherUse,
    /// It is of a kind that is not used here, or damaged.
    Unusable(String),
}

impl From<String> for UnusableKey {
    fn from(why: String) -> Self {
        Self::Unusable(why)
    }
}

/// The usable keys of a file, or everything that is wrong with it: it has a secret, or no usable key. `is_service` says which
/// names may speak for a service.
pub(super) fn parse(json: &[u8], is_service: impl Fn(&str) -> bool) -> Result<KeyFile, Vec<String>> {
    // Places, not the library's words: those may quote the file, which may be the wrong one.
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
            // By its name, which stays the same when the order of the set changes.
            let name = if kid.is_empty() { format!("keys[{index}]") } else { format!("kid {kid:?}") };
            left_out.push(SkippedKey { what: format!("{name}: {why}"), is_unusable });
        };
        match key(value, &is_service) {
            Ok((kid, _)) if keys.contains_key(&kid) => {
                leave_out("an earlier key has this `kid`, and tokens name no other difference", true);
            }
            Ok((kid, key)) => _ = keys.insert(kid, key),
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
            "a symmetric key; whoever can read this file could make tokens: take it out, \
             or use an auth secret file instead of a JWKS",
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
    let (algorithm, name) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("EC", Some("P-256")) => (Algorithm::ES256, "ES256"),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA"),
        ("RSA", _) => (Algorithm::RS256, "RS256"),
        _ => return Err("neither EC P-256, OKP Ed25519 nor RSA".to_owned().into()),
    };
    if jwk.alg.as_ref().is_some_and(|alg| alg != name) {
        return Err(format!("its `alg` is not {name} (accepted are ES256, EdDSA and RS256)").into());
    }
    let decoding = match algorithm {
        Algorithm::ES256 => ec_key(&jwk)?,
        Algorithm::EdDSA => ed_key(&jwk)?,
        _ => rsa_key(&jwk)?,
    };
    let ends_s = jwk.exp.as_ref().map(|exp| seconds(exp, f64::floor));
    match jwk.kid {
        Some(kid) if !kid.is_empty() => {
            let key = Key::public(decoding, algorithm, is_service(&kid), ends_s);
            Ok((kid, key))
        }
        _ => Err("no `kid`; give it the name that tokens carry".to_owned().into()),
    }
}

/// A member's text, cut to what a line of the log has room for; empty if it is none.
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

    fn load(keys: &[serde_json::Value]) -> Result<KeyFile, Vec<String>> {
        parse(json!({ "keys": keys }).to_string().as_bytes(), |kid| kid == "pay")
    }

    fn problem(key: serde_json::Value) -> String {
        load(&[key]).map(|file| file.keys.len()).unwrap_err()[0].clone()
    }

    #[test]
    fn each_key_has_one_algorithm_and_only_listed_ones_may_be_a_service() {
        let keys = load(&[ed("pay"), ec("app"), rsa(2048, &[1, 0, 1])]).unwrap().keys;
        assert_eq!(keys["pay"].algorithm, Algorithm::EdDSA);
        assert_eq!(keys["app"].algorithm, Algorithm::ES256);
        assert_eq!(keys["r"].algorithm, Algorithm::RS256);
        assert!(keys["pay"].may_be_service && !keys["app"].may_be_service);
    }

    #[test]
    fn a_key_that_can_t_be_used_is_left_out_in_words_and_the_others_are_used() {
        let p384 = with(ec("a"), "crv", json!("P-384"));
        let post_quantum = json!({"kty": "AKP", "alg": "ML-DSA-65", "kid": "pq", "pub": b64(&[7; 32])});
        for (key, words) in [
            (post_quantum, "neither EC P-256"),
            (p384, "neither EC P-256"),
            (with(rsa(2048, &[3]), "alg", json!("RSA-OAEP")), "is not RS256"),
            (with(rsa(2048, &[3]), "alg", json!("PS256")), "is not RS256"),
            (without(ed("a"), "kid"), "no `kid`"),
            (with(ed("a"), "kid", json!("")), "no `kid`"),
            (with(ed("a"), "kid", json!(7)), "wrong type"),
            (without(ed("a"), "kty"), "`kty` is missing"),
            (with(ed("a"), "alg", json!("ES256")), "is not EdDSA"),
            (with(ec("a"), "alg", json!("HS256")), "is not ES256"),
            (with(ed("a"), "x", json!("c2hvcnQ")), "`x` has 5 bytes"),
            (with(ed("a"), "x", json!("!!")), "base64url"),
            (without(ec("a"), "y"), "`y` is missing"),
            (rsa(1024, &[1, 0, 1]), "1024 bits"),
            (rsa(16_384, &[1, 0, 1]), "16384 bits"),
            (rsa(2048, &[1]), "exponent"),
            (rsa(2048, &[]), "exponent"),
            (rsa(2048, &[2]), "exponent"),
            (rsa(2048, &[1, 0, 0, 0, 1]), "exponent"),
            (ed("good"), "an earlier key has this `kid`"),
            (json!(5), "not a JWK"),
        ] {
            let file = load(&[ed("good"), key.clone(), ec("also-good")]).unwrap();
            assert_eq!((file.keys.len(), file.left_out.len()), (2, 1), "{key}");
            assert!(file.left_out[0].what.contains(words), "{key}: {:?}", file.left_out);
            let name = key["kid"].as_str().filter(|kid| !kid.is_empty());
            let name = name.map_or("keys[1]: ".to_owned(), |kid| format!("kid {kid:?}: "));
            assert!(file.left_out[0].what.starts_with(&name) && file.left_out[0].is_unusable, "{key}");
            // Nothing else is there: then it is an error, with the reason.
            if !words.contains("earlier") {
                let messages = problem(key.clone());
                assert!(messages.contains(words), "{key}: {messages}");
                assert!(
                    !messages.contains("c2Vj") && !messages.contains("cHJp"),
                    "tells a secret: {messages}"
                );
            }
        }
    }

    #[test]
    fn a_secret_makes_the_whole_set_unusable() {
        let secret = json!({"kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0LXNlY3JldA"});
        let private = json!("cHJpdmF0ZS1rZXk");
        for (key, words) in [
            (secret, "symmetric"),
            (with(ed("a"), "d", private.clone()), "private"),
            (with(rsa(2048, &[3]), "dp", private.clone()), "private"),
            (json!({"kty": "AKP", "kid": "pq", "priv": private}), "private"),
            // For whatever it is meant, and however else it is wrong.
            (with(with(ec("a"), "use", json!("enc")), "d", private.clone()), "private"),
            (json!({"kty": 7, "d": private}), "private"),
        ] {
            let problems = load(&[ed("good"), key.clone()]).map(|file| file.keys.len()).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(words), "{key}: {problems:?}");
            assert!(!problems[0].contains("c2Vj") && !problems[0].contains("cHJp"), "{problems:?}");
        }
    }

    #[test]
    fn leading_zeros_do_not_make_a_small_modulus_large() {
        let mut n = vec![0; 128];
        n.extend([0xff; 128]);
        assert!(problem(with(rsa(2048, &[3]), "n", json!(b64(&n)))).contains("1024 bits"));
    }

    #[test]
    fn every_secret_is_named_and_without_a_usable_key_every_reason() {
        let secret = json!({"kty": "oct"});
        let problems = load(&[ed("a"), secret.clone(), without(ed("b"), "x"), secret]);
        let problems = problems.map(|file| file.keys.len()).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("keys[1]") && problems[1].contains("keys[3]"));
        let problems =
            load(&[without(ed("b"), "x"), rsa(1024, &[3])]).map(|file| file.keys.len()).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems[0].contains("`x`")
                && problems[1].contains("1024")
                && problems[2].contains("no usable key")
        );
    }

    #[test]
    fn keys_for_encryption_are_left_out() {
        let enc = with(rsa(2048, &[1, 0, 1]), "use", json!("enc"));
        let wrap = with(ed("w"), "key_ops", json!(["wrapKey"]));
        let file = load(&[enc.clone(), wrap, with(ed("a"), "use", json!("sig"))]).unwrap();
        assert_eq!((file.keys.len(), file.left_out.iter().any(|key| key.is_unusable)), (1, false));
        assert!(problem(enc).contains("not for signatures"));
    }

    #[test]
    fn what_is_no_key_set_is_reported_by_place_not_by_content() {
        for text in ["", "\"hunter2hunter2\"", "{\"keys\": \"hunter2\"}", "hunter2", "[]", "{}"] {
            let problems = parse(text.as_bytes(), |_| false).map(|file| file.keys.len()).unwrap_err();
            assert!(problems[0].contains("line 1"), "{problems:?}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
        let problems = load(&[]).map(|file| file.keys.len()).unwrap_err();
        assert!(problems[0].contains("no usable key"), "{problems:?}");
    }
}
