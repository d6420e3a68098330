//! Tests of authentication; every run makes new keys.

mod hostile;
mod keys;
mod tokens;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;

/// Signs without the library under test, so that headers and claims can be anything.
enum Signer {
    Hmac(Vec<u8>),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

static EC: LazyLock<Signer> = LazyLock::new(new_ec);
static ED: LazyLock<Signer> = LazyLock::new(|| Signer::Ed(Ed25519KeyPair::generate().unwrap()));
static RSA: LazyLock<Signer> =
    LazyLock::new(|| Signer::Rsa(Box::new(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap())));

fn new_ec() -> Signer {
    Signer::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
}

fn secret() -> Signer {
    Signer::Hmac(SECRET.to_vec())
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn alg(&self) -> &'static str {
        match self {
            Self::Hmac(_) => "HS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
            Self::Rsa(_) => "RS256",
        }
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match self {
            Self::Hmac(key) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec(),
            Self::Ec(key) => key.sign(&rng, message).unwrap().as_ref().to_vec(),
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token with exactly these texts, JSON or not.
    fn sign_raw(&self, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
        let message = format!("{}.{}", b64(header), b64(claims));
        let signature = b64(self.signature(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn sign(&self, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": self.alg(), "typ": "JWT", "kid": kid});
        self.sign_raw(header.to_string(), claims.to_string())
    }

    /// The public half for a key set.
    fn jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Hmac(_) => panic!("has no public half"),
            Self::Ec(key) => {
                let point = key.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])})
            }
            Self::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key())}),
            Self::Rsa(key) => {
                let public: RsaPublicKeyComponents<Vec<u8>> = key.public_key().into();
                json!({"kty": "RSA", "n": b64(public.n), "e": b64(public.e)})
            }
        };
        jwk["kid"] = kid.into();
        jwk["alg"] = self.alg().into();
        jwk
    }

    /// Public bytes that a careless verifier might use as an HMAC secret.
    fn public_bytes(&self) -> Vec<Vec<u8>> {
        match self {
            Self::Hmac(_) => vec![],
            Self::Ec(key) => {
                let der = key.public_key().as_der().unwrap();
                vec![key.public_key().as_ref().to_vec(), der.as_ref().to_vec()]
            }
            Self::Ed(key) => vec![key.public_key().as_ref().to_vec()],
            Self::Rsa(key) => {
                let public: RsaPublicKeyComponents<Vec<u8>> = key.public_key().into();
                vec![key.public_key().as_ref().to_vec(), public.n, vec![]]
            }
        }
    }
}

fn claims() -> Value {
    json!({"sub": "buyer-1", "exp": NOW + 60})
}

fn claims_with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn write_jwks(path: &Path, keys: &[Value]) {
    std::fs::write(path, json!({ "keys": keys }).to_string()).unwrap();
}

/// Settings and the directory with their files.
struct Setup {
    dir: tempfile::TempDir,
    settings: AuthSettings,
}

impl Setup {
    fn with_secret() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, SECRET).unwrap();
        Self {
            dir,
            settings: AuthSettings { secret_file: Some(path), leeway_s: 2, ..AuthSettings::default() },
        }
    }

    fn with_jwks(keys: &[Value], service_key_ids: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jwks.json");
        write_jwks(&path, keys);
        let service_key_ids = service_key_ids.iter().map(|kid| (*kid).to_owned()).collect();
        let settings =
            AuthSettings { jwks_file: Some(path), service_key_ids, leeway_s: 2, ..AuthSettings::default() };
        Self { dir, settings }
    }

    fn file(&self) -> &Path {
        self.settings.secret_file.as_deref().or(self.settings.jwks_file.as_deref()).unwrap()
    }

    fn keys(&self) -> Arc<TokenKeys> {
        Arc::new(TokenKeys::load(&self.settings).unwrap())
    }

    fn identifier(&self) -> Identifier {
        Identifier::new(self.keys(), 64)
    }
}

fn identify(identifier: &mut Identifier, token: &str) -> Result<Identified, Unauthenticated> {
    identify_at(identifier, token, NOW)
}

fn identify_at(identifier: &mut Identifier, token: &str, now_s: u64) -> Result<Identified, Unauthenticated> {
    identifier.identify(Some(format!("Bearer {token}").as_bytes()), now_s)
}

fn buyer(sub: &str) -> Result<Identified, Unauthenticated> {
    Ok(Identified::for_test(sub, false))
}

fn service(sub: &str) -> Result<Identified, Unauthenticated> {
    Ok(Identified::for_test(sub, true))
}
