//! Texts that people read and search by: how they are normalised, and which characters in them are invisible.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The normal form of a name: NFC, each run of white space one blank, none at the ends.
///
/// Doing it twice changes nothing more. Control characters stay as they are: they are refused, not repaired.
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

/// White space of any kind that stays on its line: no-break, ideographic, thin and so on.
fn is_blank(char: char) -> bool {
    char.is_whitespace() && !is_control(char)
}

/// The first character of a text that a name must not have: a control character, or an invisible one.
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

/// Unicode's `Default_Ignorable_Code_Point`, and annotations between lines: zero-width and bidirectional characters,
/// fillers, variation selectors, tags. A name with one looks like the name without it and is another.
fn is_invisible(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What two texts have in common that a person takes for the same: without invisible characters and case, normalised.
pub(crate) fn search_key(text: &str) -> String {
    let visible = text.chars().filter(|char| !is_invisible(*char));
    let visible: String =
        visible.flat_map(char::to_lowercase).map(|c| if is_control(c) { ' ' } else { c }).collect();
    normalised(&visible).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn white_space_of_every_kind_is_one_blank_and_what_is_decomposed_is_composed() {
        for (text, normal) in [
            ("", ""),
            ("Guangzhou", "Guangzhou"),
            ("广州", "广州"),
            (" New  York ", "New York"),
            ("New\u{a0}York", "New York"),
            ("广州\u{3000}天河\u{3000}", "广州 天河"),
            ("\u{2003}\u{202f}a\u{205f}\u{2009}b\u{1680}", "a b"),
            ("Mu\u{308}nchen", "München"),
            ("München", "München"),
            ("\u{1112}\u{1161}\u{11ab}", "한"),
            // The compatibility ideograph is canonically the unified one.
            ("\u{f90a}", "金"),
            ("\u{3000}", ""),
        ] {
            assert_eq!(normalised(text), normal, "{text:?}");
        }
    }

    #[test]
    fn invisible_characters_are_found() {
        for hidden in [
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{202e}',
            '\u{2066}',
            '\u{200f}',
            '\u{61c}',
            '\u{2060}',
            '\u{3164}',
            '\u{fe0f}',
            '\u{e0041}',
            '\u{2028}',
            '\u{2029}',
            '\u{85}',
            '\t',
            '\n',
            '\0',
        ] {
            assert_eq!(forbidden(&format!("a{hidden}b")), Some(hidden), "{hidden:?}");
            assert_eq!(forbidden(&format!("广{hidden}州")), Some(hidden), "{hidden:?}");
        }
        for plain in ["New York", "广州 天河", "a\u{a0}b\u{3000}c", "Mu\u{308}nchen", "🚗", "٣"] {
            assert_eq!(forbidden(plain), None, "{plain:?}");
        }
    }

    #[test]
    fn what_looks_the_same_has_one_key() {
        for (stored, asked) in [
            ("Guangzhou", "guangzhou"),
            ("New\u{a0}York", "new york"),
            ("广州\u{200b}", "广州"),
            ("\u{202d}广州\u{202c}", " 广州\u{3000}"),
            ("München", "MU\u{308}NCHEN"),
            ("a\tb", "A B"),
        ] {
            assert_eq!(search_key(stored), search_key(asked), "{stored:?} {asked:?}");
        }
        assert_ne!(search_key("New York"), search_key("NewYork"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn normalising_again_changes_nothing(text in "\\PC{0,40}", any in any::<String>()) {
            for text in [text, any] {
                let once = normalised(&text).into_owned();
                prop_assert_eq!(normalised(&once), once.as_str());
                prop_assert!(is_normal(&once));
                let key = search_key(&text);
                prop_assert_eq!(search_key(&once), key.as_str());
            }
        }
    }
}
