//! Unit tests of `text.rs`.

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

#[test]
fn a_plain_text_has_one_line_and_changes_nothing_around_it() {
    assert_eq!(plain("a\r\n\tb\u{1b}[31mc\u{85}d\u{2028}e"), "a   b [31mc d e");
    assert_eq!(plain("\u{202e}dlos\u{202c} \u{2066}x\u{2069}"), "\u{fffd}dlos\u{fffd} \u{fffd}x\u{fffd}");
    assert_eq!(plain("支付中断: \"é\""), "支付中断: \"é\"");
}

#[test]
fn large_numbers_are_grouped() {
    let texts = [0, 12, 999, 1_000, 55_000, 1_234_567].map(grouped);
    assert_eq!(texts, ["0", "12", "999", "1,000", "55,000", "1,234,567"]);
}
