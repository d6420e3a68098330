//! The rules for a buyer's `sub`, and its form in the ledger.

use std::borrow::Cow;

/// The most bytes of a `sub`.
pub const SUB_BYTES_MAX: usize = 255;
/// The rule of a `sub`, for errors.
pub const SUB_RULE: &str = "1 to 255 visible ASCII characters, with blanks only between them";

/// Stands for a blank in the ledger, where blanks separate fields. A valid `sub` never contains it,
/// so the mapping is unambiguous.
const BLANK: char = '␣';

/// Whether this is a valid `sub`: 1 to 255 visible ASCII characters, with blanks only between them.
///
/// ```
/// use gateway::domain::subject::is_subject;
/// assert!(is_subject("uid=alice, ou=People") && is_subject("auth0|42"));
/// assert!(!is_subject(" alice") && !is_subject("alice ") && !is_subject("Zoë"));
/// ```
pub fn is_subject(sub: &str) -> bool {
    let bytes = sub.as_bytes();
    let ends_are_visible = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_graphic);
    bytes.len() <= SUB_BYTES_MAX
        && ends_are_visible(bytes.first())
        && ends_are_visible(bytes.last())
        && bytes.iter().fold(true, |all, byte| all & (byte.is_ascii_graphic() | (*byte == b' ')))
}

/// Appends a `sub` as one word of the ledger.
pub fn push_word(out: &mut String, sub: &str) {
    let mut parts = sub.split(' ');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        out.push(BLANK);
        out.push_str(part);
    }
}

/// A `sub` as one word of the ledger.
pub fn to_word(sub: &str) -> String {
    let mut word = String::with_capacity(sub.len());
    push_word(&mut word, sub);
    word
}

/// The `sub` that a word of the ledger encodes; `None` if it is not a valid one.
pub fn from_word(word: &str) -> Option<Cow<'_, str>> {
    let sub = match word.contains(BLANK) {
        true => Cow::Owned(word.replace(BLANK, " ")),
        false => Cow::Borrowed(word),
    };
    is_subject(&sub).then_some(sub)
}

#[cfg(test)]
mod tests;
