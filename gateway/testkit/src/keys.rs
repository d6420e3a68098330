//! Public keys of a test's own: their set as a file, and tokens that they sign.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a good token, with others instead; null removes one.
pub fn claims(others: &Value) -> Value {
    let mut claims = json!({"sub": "alice", "exp": now() + 600});
    for (name, value) in others.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            other => claims.as_object_mut().unwrap().insert(name.clone(), other.clone()),
        };
    }
    claims
}

/// A key of a key set.
pub struct Key {
    kid: &'static str,
    /// When it ends, in seconds since 1970.
    end: Option<u64>,
    pair: Ed25519KeyPair,
}

impl Key {
    pub fn new(kid: &'static str) -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        Self { kid, end: None, pair }
    }

    /// A key that expires in so many seconds, by the `exp` of its set.
    pub fn ending_in(kid: &'static str, seconds: u64) -> Self {
        Self { end: Some(now() + seconds), ..Self::new(kid) }
    }

    /// Its public half, as bytes.
    pub fn public(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }

    /// Its public half, for a set.
    pub fn jwk(&self) -> Value {
        let x = b64(self.public());
        let mut jwk =
            json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x});
        if let Some(end) = self.end {
            jwk["exp"] = end.into();
        }
        jwk
    }

    /// A token under another key's name.
    pub fn sign_as(&self, kid: &str, others: &Value) -> String {
        let header = b64(json!({"alg": "EdDSA", "typ": "JWT", "kid": kid}).to_string());
        let text = format!("{header}.{}", b64(claims(others).to_string()));
        format!("{text}.{}", b64(self.pair.sign(text.as_bytes())))
    }

    /// A token.
    pub fn sign(&self, others: &Value) -> String {
        self.sign_as(self.kid, others)
    }
}

/// Writes a set of these keys.
pub fn write_keys(path: &Path, keys: &[&Key]) {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
    std::fs::write(path, json!({"keys": keys}).to_string()).unwrap();
}
