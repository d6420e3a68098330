//! The identity of a reservation: the id derived from sale, buyer and key, and the fingerprint of
//! the request.

use std::borrow::Cow;
use std::hash::Hasher;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;

/// Characters of an id that are derived from the buyer; the rest are derived from the key.
pub const BUYER_CHARS: usize = 20;
/// Characters of an id: 24 bytes, so that base64url needs no padding.
pub const ID_CHARS: usize = 32;

/// The buyer's part of an id: 120 bits of a hash, so that ids do not reveal buyers and do not
/// collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuyerHash([u8; BUYER_CHARS / 4 * 3]);

impl BuyerHash {
    /// Derives it from the buyer's `sub`.
    pub fn new(sale: &str, sub: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(b"buyer\0")
            .chain_update(sale)
            .chain_update(b"\0")
            .chain_update(sub)
            .finalize();
        let mut bytes = [0; BUYER_CHARS / 4 * 3];
        bytes.copy_from_slice(&hash[..BUYER_CHARS / 4 * 3]);
        Self(bytes)
    }

    /// Reads the buyer's part of an id, or of a longer text; `None` if it is not a valid one.
    pub fn of_part(text: &str) -> Option<Self> {
        let mut bytes = [0; BUYER_CHARS / 4 * 3];
        let written = URL_SAFE_NO_PAD.decode_slice(text.get(..BUYER_CHARS)?, &mut bytes).ok()?;
        (written == bytes.len()).then_some(Self(bytes))
    }

    /// See [`buyer_mark`].
    pub fn mark(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// The id of the reservation for this buyer's key.
    pub fn reservation_id(&self, key: &str) -> String {
        let hash = Sha256::new().chain_update(b"key\0").chain_update(key).finalize();
        let mut id = String::with_capacity(ID_CHARS);
        URL_SAFE_NO_PAD.encode_string(self.0, &mut id);
        URL_SAFE_NO_PAD.encode_string(&hash[..(ID_CHARS - BUYER_CHARS) / 4 * 3], &mut id);
        id
    }
}

/// The common prefix of a buyer's ids in a sale.
pub fn buyer_part(sale: &str, sub: &str) -> String {
    URL_SAFE_NO_PAD.encode(BuyerHash::new(sale, sub).0)
}

/// The id of the reservation for this buyer's key, at every gateway and after any crash.
///
/// ```
/// use gateway::domain::identity::{buyer_part, reservation_id};
/// let id = reservation_id("national-good-car", "alice", "one-tap");
/// assert_eq!(id, reservation_id("national-good-car", "alice", "one-tap"));
/// assert!(id.starts_with(&buyer_part("national-good-car", "alice")));
/// ```
pub fn reservation_id(sale: &str, sub: &str, key: &str) -> String {
    BuyerHash::new(sale, sub).reservation_id(key)
}

/// Whether this has the form of an id: checked before a path's text is used.
pub fn is_reservation_id(text: &str) -> bool {
    text.len() == ID_CHARS && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Whether this is a valid id of an item or a reader: 1 to 64 of `[A-Za-z0-9._-]`, not a lone hyphen.
pub fn is_item_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text != "-" && text.bytes().all(allowed)
}

/// Eight bytes of the buyer's part of an id, for sets in memory; `None` if it is not a valid part.
/// Two buyers may share them, so a match may only cause one more call to Redis.
pub fn buyer_mark(id: &str) -> Option<u64> {
    BuyerHash::of_part(id).map(|hash| hash.mark())
}

/// A fingerprint of a request in eleven characters, independent of the order of packages. It only
/// distinguishes one buyer's requests under one key: a fast hash of 64 bits, stable across
/// versions, is enough.
pub fn fingerprint(
    model: &str,
    packages: &[impl AsRef<str>],
    store: Option<&str>,
    accept_partial: bool,
) -> String {
    let mut sorted: Vec<&str> = packages.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    let mut hash = SipHasher24::new();
    // No id is empty.
    for text in [model, store.unwrap_or_default()] {
        hash.write(text.as_bytes());
        hash.write_u8(0);
    }
    hash.write_u8(u8::from(accept_partial));
    for package in sorted {
        hash.write_u8(0);
        hash.write(package.as_bytes());
    }
    URL_SAFE_NO_PAD.encode(hash.finish().to_be_bytes())
}

/// The key in an `Idempotency-Key` header: an RFC 8941 string, or the same characters bare; 1 to 64 visible ASCII
/// characters. `Err` has the reason.
///
/// ```
/// use gateway::domain::identity::parse_key;
/// assert_eq!(parse_key(b"\"one-tap\""), parse_key(b"one-tap"));
/// assert!(parse_key(b"two taps").is_err());
/// ```
pub fn parse_key(header: &[u8]) -> Result<Cow<'_, str>, &'static str> {
    const ONLY_VISIBLE: &str = "it may only have visible ASCII characters, no spaces";
    let text = header.trim_ascii();
    let quoted = text.len() >= 2 && text[0] == b'"' && text[text.len() - 1] == b'"';
    let bare = if quoted { &text[1..text.len() - 1] } else { text };
    let mut key = Cow::Borrowed(std::str::from_utf8(bare).map_err(|_| ONLY_VISIBLE)?);
    if quoted && bare.iter().any(|b| matches!(b, b'\\' | b'"')) {
        let mut unescaped = String::with_capacity(bare.len());
        let mut inner = bare.iter().copied();
        while let Some(b) = inner.next() {
            unescaped.push(char::from(match b {
                b'\\' => match inner.next() {
                    Some(escaped @ (b'"' | b'\\')) => escaped,
                    _ => return Err("in a quoted key a backslash may only stand before \" or \\"),
                },
                b'"' => return Err("a quote inside a quoted key needs a backslash before it"),
                other => other,
            }));
        }
        key = Cow::Owned(unescaped);
    }
    if key.is_empty() || key.len() > 64 {
        return Err("it must have 1 to 64 characters");
    }
    if !key.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ONLY_VISIBLE);
    }
    Ok(key)
}

#[cfg(test)]
mod tests;
