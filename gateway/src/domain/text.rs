//! Texts from outside: normalisation of display and search texts, detection of invisible characters.

use std::borrow::Cow;

use serde::Deserialize;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// A JSON text, borrowed where it needs no unescaping.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct JsonText<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// Normalises a name: NFC, each run of white space becomes one blank, none at the ends.
///
/// It is idempotent. Control characters stay, so that the check refuses them.
pub(crate) fn normalised(text: &str) -> Cow<'_, str> {
    if is_normal(text) {
        return Cow::Borrowed(text);
    }
    let mut normal = String::with_capacity(text.len());
    let mut is_after_blank = true;
    for char in text.chars().map(|char| if is_blank(char) { ' ' } else { char }).nfc() {
        if !(char == ' ' && is_after_blank) {
            normal.push(char);
        }
        is_after_blank = char == ' ';
    }
    normal.truncate(normal.trim_end_matches(' ').len());
    Cow::Owned(normal)
}

fn is_normal(text: &str) -> bool {
    let is_padded = text.starts_with(' ') || text.ends_with(' ') || text.contains("  ");
    !is_padded
        && (text.is_ascii() || (!text.chars().any(|char| char != ' ' && is_blank(char)) && is_nfc(text)))
}

/// White space within a line: no-break, ideographic, thin and so on.
fn is_blank(char: char) -> bool {
    char.is_whitespace() && !is_control(char)
}

/// The first forbidden character of a name: a control or an invisible character.
pub(crate) fn forbidden(text: &str) -> Option<char> {
    if text.is_ascii() {
        return text.chars().find(|char| char.is_control());
    }
    text.chars().find(|char| is_control(*char) || is_invisible(*char))
}

/// Controls, line and paragraph separators among them.
fn is_control(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}')
}

/// Unicode's `Default_Ignorable_Code_Point`, and interlinear annotations: zero-width and
/// bidirectional characters, fillers, variation selectors, tags. They make different names look
/// equal.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The search key of a text: normalised, without case and invisible characters.
pub(crate) fn search_key(text: &str) -> String {
    let visible = text.chars().filter(|char| !is_invisible(*char));
    let visible: String =
        visible.flat_map(char::to_lowercase).map(|c| if is_control(c) { ' ' } else { c }).collect();
    normalised(&visible).into_owned()
}

/// A text on one line, without what changes the rest of a screen: control characters become blanks, and those that turn
/// the direction of text become �. Operators, buyers and other systems write such texts.
pub(crate) fn plain(text: &str) -> String {
    let shown = |char| match char {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        char if is_control(char) => ' ',
        char => char,
    };
    text.chars().map(shown).collect()
}

/// A number with a comma before each group of three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
