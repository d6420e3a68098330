//! Unit tests of `jwks.rs`.

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
fn an_unusable_key_is_skipped_with_a_reason() {
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
        (ed("good"), "duplicate `kid`"),
        (json!(5), "not a JWK"),
    ] {
        let file = load(&[ed("good"), key.clone(), ec("also-good")]).unwrap();
        assert_eq!((file.keys.len(), file.left_out.len()), (2, 1), "{key}");
        assert!(file.left_out[0].what.contains(words), "{key}: {:?}", file.left_out);
        let name = key["kid"].as_str().filter(|kid| !kid.is_empty());
        let name = name.map_or("keys[1]: ".to_owned(), |kid| format!("kid {kid:?}: "));
        assert!(file.left_out[0].what.starts_with(&name) && file.left_out[0].is_unusable, "{key}");
        // Without any other key it is an error, with the reason.
        if !words.contains("duplicate") {
            let messages = problem(key.clone());
            assert!(messages.contains(words), "{key}: {messages}");
            assert!(!messages.contains("c2Vj") && !messages.contains("cHJp"), "reveals a secret: {messages}");
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
        // Whatever its use, and however else it is wrong.
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
    let problems = load(&[without(ed("b"), "x"), rsa(1024, &[3])]).map(|file| file.keys.len()).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(
        problems[0].contains("`x`") && problems[1].contains("1024") && problems[2].contains("no usable key")
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
fn an_invalid_key_set_is_reported_by_position_not_by_content() {
    for text in ["", "\"hunter2hunter2\"", "{\"keys\": \"hunter2\"}", "hunter2", "[]", "{}"] {
        let problems = parse(text.as_bytes(), |_| false).map(|file| file.keys.len()).unwrap_err();
        assert!(problems[0].contains("line 1"), "{problems:?}");
        assert!(!problems[0].contains("hunter2"), "{problems:?}");
    }
    let problems = load(&[]).map(|file| file.keys.len()).unwrap_err();
    assert!(problems[0].contains("no usable key"), "{problems:?}");
}
