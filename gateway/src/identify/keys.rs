//! The keys for token signatures: loaded at start, reloaded while running.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use sha2::{Digest, Sha256};

use crate::identify::jwks::SkippedKey;
use crate::identify::{Unauthenticated, files, jwks};

const JWKS_FILE_BYTES_MAX: u64 = 1024 * 1024;
const PUBLIC_ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256];

/// The default of the clock leeway, in s.
pub const LEEWAY_S_DEFAULT: u64 = 5;
/// The limit of the clock leeway, in s.
pub const LEEWAY_S_MAX: u64 = 60;

/// The key files, and the claims that a token must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthSettings {
    /// The shared secret of HS256 tokens; either this or `jwks_file`.
    pub secret_file: Option<PathBuf>,
    /// Public keys of ES256, EdDSA and RS256 tokens.
    pub jwks_file: Option<PathBuf>,
    /// The `kid`s in the JWKS whose tokens may have the scope `service`.
    pub service_key_ids: Vec<String>,
    /// When set, a token needs this `iss`.
    pub issuer: Option<String>,
    /// When set, a token needs this among its `aud`.
    pub audience: Option<String>,
    /// The clock difference to the token issuer that `exp` and `nbf` allow, in s.
    pub leeway_s: u64,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            secret_file: None,
            jwks_file: None,
            service_key_ids: Vec::new(),
            issuer: None,
            audience: None,
            leeway_s: LEEWAY_S_DEFAULT,
        }
    }
}

/// The current keys, shared by all workers. A reload swaps all of them at once.
pub struct TokenKeys {
    settings: AuthSettings,
    current: ArcSwap<KeySet>,
    /// Serialises reloads, so that generations only increase.
    reloading: Mutex<()>,
}

/// One loaded state of the key file.
pub(super) struct KeySet {
    generation: u64,
    digest: [u8; 32],
    /// The key of a shared secret; `None`: only public keys count.
    secret: Option<Arc<Key>>,
    /// Public keys by `kid`.
    keys: HashMap<String, Arc<Key>>,
    /// The skipped keys of the file.
    left_out: Vec<SkippedKey>,
}

/// A key with the one algorithm that it may be used with.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) may_be_service: bool,
    /// The first second since 1970 in which the key is expired, if it expires.
    pub(super) ends_s: Option<u64>,
    pub(super) material: Material,
}

pub(super) enum Material {
    /// Prepared once: the library would derive both halves of the key for every token.
    Hmac(Box<Hmac<Sha256>>),
    Public(DecodingKey),
}

impl Key {
    /// Whether a check with this key costs more than a refusal.
    pub(super) fn is_public(&self) -> bool {
        matches!(self.material, Material::Public(_))
    }

    /// Whether the key is expired. The leeway applies to tokens only: a withdrawn key ends at once.
    pub(super) fn is_over(&self, now_s: u64) -> bool {
        self.ends_s.is_some_and(|ends_s| now_s >= ends_s)
    }

    /// Checks the signature of a message; the signature is base64url.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> Result<(), Unauthenticated> {
        match &self.material {
            Material::Hmac(key) => {
                // A right one has 32 bytes; any other is decoded only to name the error.
                let mut bytes = [0; 32];
                let signature = if signature.len() == 43 {
                    URL_SAFE_NO_PAD.decode(signature, bytes.as_mut_slice().as_out()).map(|there| &*there)
                } else {
                    URL_SAFE_NO_PAD.check(signature).map(|()| &[][..])
                };
                let signature = signature.map_err(|_| Unauthenticated::Malformed)?;
                // Compares in constant time.
                let verified = Hmac::clone(key).chain_update(message).verify_slice(signature);
                verified.map_err(|_| Unauthenticated::BadSignature)
            }
            Material::Public(key) => {
                let signature = std::str::from_utf8(signature).map_err(|_| Unauthenticated::Malformed)?;
                match crypto::verify(signature, message, key, self.algorithm) {
                    Ok(true) => Ok(()),
                    Err(e) if matches!(e.kind(), ErrorKind::Base64(_)) => Err(Unauthenticated::Malformed),
                    Ok(false) | Err(_) => Err(Unauthenticated::BadSignature),
                }
            }
        }
    }
}

impl TokenKeys {
    /// Loads the keys, or returns every problem at once, each with what to do.
    pub fn load(settings: &AuthSettings) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        match (&settings.secret_file, &settings.jwks_file) {
            (None, None) => problems.push(
                "no key to check tokens with: set auth-secret-file (a shared secret) or \
                 auth-jwks-file (an identity provider's public keys)"
                    .into(),
            ),
            (Some(_), Some(_)) => problems.push(
                "both auth-secret-file and auth-jwks-file are set; keep one, so that only one key source \
                    is trusted"
                    .into(),
            ),
            _ => {}
        }
        if settings.jwks_file.is_none() && !settings.service_key_ids.is_empty() {
            problems.push(
                "service key ids are set without auth-jwks-file; they only choose among its keys, \
                 so take them out"
                    .into(),
            );
        }
        for (name, value) in [("issuer", &settings.issuer), ("audience", &settings.audience)] {
            if value.as_deref() == Some("") {
                problems.push(format!("the {name} is empty; leave it out or give it a value"));
            }
        }
        // Both files are read even if only one may stay, so that one run reports all problems.
        let mut read = |set: Result<_, _>| set.map_err(|more: Vec<String>| problems.extend(more)).ok();
        let secret = settings.secret_file.as_deref().and_then(|path| {
            let secret = files::read_secret(path).map_err(|problem| vec![problem]);
            read(secret.map(|secret| secret_set(&secret)))
        });
        let jwks = settings.jwks_file.as_deref().and_then(|path| read(read_first_jwks(path, settings)));
        match secret.or(jwks) {
            Some(set) if problems.is_empty() => Ok(Self {
                settings: settings.clone(),
                current: ArcSwap::from_pointee(set),
                reloading: Mutex::new(()),
            }),
            _ => Err(problems),
        }
    }

    /// Reloads the key file if its content changed: `true`. An unusable file changes nothing; every call returns
    /// its problems until it is fixed. It compares contents, since two changes within one tick of the file system's
    /// clock have the same time. It blocks on the disk: not for a worker's thread.
    pub fn reload_if_changed(&self) -> Result<bool, Vec<String>> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current.load_full();
        let settings = &self.settings;
        let mut new = match (&settings.secret_file, &settings.jwks_file) {
            (Some(path), _) => {
                let (secret, _) = files::read_secret_again(path).map_err(|problem| vec![problem])?;
                secret_set(&secret)
            }
            (None, Some(path)) => read_jwks(path, settings)?,
            (None, None) => return Ok(false),
        };
        if new.digest == old.digest {
            return Ok(false);
        }
        new.generation = old.generation + 1;
        // A missing service key does not keep the old set: a withdrawn key must end at once.
        new.log_findings(settings, &old.left_out);
        self.current.store(Arc::new(new));
        Ok(true)
    }

    /// Logs the problems of the key file besides its usable keys.
    pub fn log_findings(&self) {
        self.current.load().log_findings(&self.settings, &[]);
    }

    /// Unusable keys for signatures, and listed service keys that are missing.
    pub fn findings(&self) -> Vec<String> {
        let current = self.current.load();
        let unusable = current.left_out.iter().filter(|key| key.is_unusable).map(|key| key.what.clone());
        let missing = current.missing(&self.settings.service_key_ids).into_iter();
        unusable.chain(missing.map(|kid| format!("service key id {kid:?} is not in the set"))).collect()
    }

    /// The number of public keys that may sign for a service.
    pub fn services(&self) -> usize {
        let ids = &self.settings.service_key_ids;
        ids.len() - self.current.load().missing(ids).len()
    }

    /// Increases by one with every change of the keys.
    pub fn generation(&self) -> u64 {
        self.current.load().generation
    }

    /// The id and end of each public key, in seconds since 1970; empty for a secret.
    pub fn ends(&self) -> Vec<(String, Option<u64>)> {
        let current = self.current.load();
        let mut ends: Vec<_> = current.keys.iter().map(|(kid, key)| (kid.clone(), key.ends_s)).collect();
        ends.sort_unstable();
        ends
    }

    /// The end of the next key to expire, in seconds since 1970; of the last one if all have
    /// expired. `None` if keys do not expire.
    pub fn next_end(&self, now_s: u64) -> Option<u64> {
        let current = self.current.load();
        let keys = &current.keys;
        let ends = || keys.values().filter_map(|key| key.ends_s);
        let still = keys.values().any(|key| !key.is_over(now_s));
        if still { ends().filter(|ends_s| *ends_s > now_s).min() } else { ends().max() }
    }

    /// Whether tokens are verified with public keys, which costs more than a cache look-up or a
    /// refusal. With a shared secret both take half a microsecond once the cache exceeds a CPU's
    /// cache (measured).
    pub fn are_public(&self) -> bool {
        self.settings.jwks_file.is_some()
    }

    pub(super) fn current(&self) -> Guard<Arc<KeySet>> {
        self.current.load()
    }

    pub(super) fn settings(&self) -> &AuthSettings {
        &self.settings
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("settings", &self.settings)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

impl KeySet {
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The key for a token with this header. A shared secret is the only one, whatever the `kid`.
    pub(super) fn find(&self, alg: &str, kid: Option<&str>) -> Result<&Arc<Key>, Unauthenticated> {
        let algorithm = alg.parse().map_err(|_| Unauthenticated::WrongAlgorithm)?;
        let key = match &self.secret {
            Some(key) => key,
            None if !PUBLIC_ALGORITHMS.contains(&algorithm) => return Err(Unauthenticated::WrongAlgorithm),
            None => kid.and_then(|kid| self.keys.get(kid)).ok_or(Unauthenticated::UnknownKey)?,
        };
        if algorithm == key.algorithm { Ok(key) } else { Err(Unauthenticated::WrongAlgorithm) }
    }

    /// Logs skipped keys once: not those that the previous set already skipped.
    fn log_findings(&self, settings: &AuthSettings, known: &[SkippedKey]) {
        for SkippedKey { what, is_unusable } in self.left_out.iter().filter(|key| !known.contains(key)) {
            if *is_unusable {
                tracing::warn!("the JWKS has a key that is not used: {what}");
            } else {
                tracing::info!("the JWKS has a key that is not used: {what}");
            }
        }
        for kid in self.missing(&settings.service_key_ids) {
            tracing::warn!(kid, "a service key id is not in the JWKS");
        }
    }

    fn missing<'a>(&self, service_key_ids: &'a [String]) -> Vec<&'a String> {
        let is_known = |kid: &str| self.secret.is_some() || self.keys.contains_key(kid);
        service_key_ids.iter().filter(|kid| !is_known(kid)).collect()
    }
}

fn secret_set(secret: &files::Secret) -> KeySet {
    let bytes = secret.as_bytes();
    #[expect(clippy::expect_used, reason = "an HMAC's key may have any length (RFC 2104)")]
    let hmac = Hmac::new_from_slice(bytes).expect("a key of any length");
    let (algorithm, material) = (Algorithm::HS256, Material::Hmac(Box::new(hmac)));
    let key = Key { algorithm, may_be_service: true, ends_s: None, material };
    let (secret, keys) = (Some(Arc::new(key)), HashMap::new());
    KeySet { generation: 0, digest: Sha256::digest(bytes).into(), secret, keys, left_out: Vec::new() }
}

fn read_jwks(path: &Path, settings: &AuthSettings) -> Result<KeySet, Vec<String>> {
    let (bytes, _) =
        files::read_limited(path, "JWKS file", JWKS_FILE_BYTES_MAX).map_err(|problem| vec![problem])?;
    let is_service = |kid: &str| settings.service_key_ids.iter().any(|listed| listed == kid);
    let jwks::KeyFile { keys, left_out } = jwks::parse(&bytes, is_service).map_err(|problems| {
        let at = |problem| format!("JWKS file {}: {problem}", path.display());
        problems.into_iter().map(at).collect::<Vec<_>>()
    })?;
    Ok(KeySet { generation: 0, digest: Sha256::digest(&bytes).into(), secret: None, keys, left_out })
}

/// Reads the JWKS at the start: at least one of the listed service keys must be in it.
fn read_first_jwks(path: &Path, settings: &AuthSettings) -> Result<KeySet, Vec<String>> {
    let set = read_jwks(path, settings)?;
    let missing = set.missing(&settings.service_key_ids);
    // During a rotation a listed key is not published yet, or not any more.
    if missing.is_empty() || missing.len() < settings.service_key_ids.len() {
        return Ok(set);
    }
    let describe = |kid: &String| {
        format!("service key id {kid:?} is not in {}; correct it or add the key", path.display())
    };
    let left_out = set.left_out.iter().map(|key| key.what.clone());
    Err(missing.into_iter().map(describe).chain(left_out).collect())
}
