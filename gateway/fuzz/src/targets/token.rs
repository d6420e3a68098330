//! A token that is accepted names a subject of 1 to 255 visible ASCII characters and inner blanks and has not expired, but for
//! the leeway, whatever stands in it besides. What nobody signed with the secret is never accepted: not the bytes themselves,
//! and not a token with one character changed.
//!
//! The bytes are a header and claims with a line end between them; they are signed here.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gateway::identify::{AuthSettings, Identifier, Keys};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

const SECRET: &[u8; 33] = b"a secret that only this one knows";
const NOW_S: u64 = 1_800_000_000;

/// What a gateway reads of the header; the rest as below.
#[derive(Debug, serde::Deserialize)]
struct Head {
    alg: Value,
    crit: Option<Value>,
}

/// What a gateway reads of the claims. The others may be whatever JSON allows: a number like 1E99999, too, which is right by its
/// grammar (RFC 8259, section 6), though no number of ours holds it.
#[derive(Debug, serde::Deserialize)]
struct Said {
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
    let Ok(who) = identifier.identify(Some(&bearer), NOW_S) else {
        return;
    };
    let sub = who.sub();
    assert!((1..=255).contains(&sub.len()) && sub.trim() == &**sub);
    assert!(sub.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    let said: Said = serde_json::from_slice(claims).unwrap_or_else(|e| panic!("no JSON was accepted: {e}"));
    assert_eq!(said.sub, **sub);
    let exp = said.exp.as_f64().unwrap_or_else(|| panic!("no exp was accepted: {said:?}"));
    let leeway = AuthSettings::default().leeway_s as f64;
    assert!(exp + leeway > NOW_S as f64, "it has expired: {said:?}");
    if let Some(nbf) = said.nbf.as_ref().and_then(Value::as_f64) {
        assert!(nbf <= NOW_S as f64 + leeway, "it is not valid yet: {said:?}");
    }
    let header: Head =
        serde_json::from_slice(header).unwrap_or_else(|e| panic!("no header was accepted: {e}"));
    assert!(header.alg == "HS256" && header.crit.is_none(), "{header:?}");
    if who.is_service() {
        assert!(said.scope.to_string().contains("service"), "{said:?}");
    }

    // One character changed, at a place and to another that depend on the bytes.
    let sum = bytes.iter().fold(7_usize, |sum, b| sum.wrapping_mul(31).wrapping_add(usize::from(*b)));
    let mut changed = bearer;
    let place = 7 + sum % token.len();
    changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
    assert!(identifier.identify(Some(&changed), NOW_S).is_err(), "changed at {place}: {token}");
}

fn sign(header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(SECRET).unwrap_or_else(|e| panic!("{e}"));
    mac.update(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn keys() -> Arc<Keys> {
    static KEYS: OnceLock<Arc<Keys>> = OnceLock::new();
    let load = || {
        let file = tempfile::NamedTempFile::new().unwrap_or_else(|e| panic!("no temporary file: {e}"));
        std::fs::write(file.path(), SECRET).unwrap_or_else(|e| panic!("{e}"));
        let path: &Path = file.path();
        let settings = AuthSettings { secret_file: Some(path.to_owned()), ..AuthSettings::default() };
        Arc::new(Keys::load(&settings).unwrap_or_else(|problems| panic!("{problems:?}")))
    };
    KEYS.get_or_init(load).clone()
}
