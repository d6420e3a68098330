//! Unit tests of `operator_action.rs`.

use super::*;

#[test]
fn every_operator_action_describes_its_effect_on_buyers_in_full_sentences() {
    let all = effects();
    for &(word, effect) in &all {
        assert!(effect.len() > 80 && effect.ends_with('.') && !effect.contains("  "), "{word}: {effect}");
        assert_eq!(all.iter().filter(|(_, other)| *other == effect).count(), 1, "{word}");
    }
    for action in OperatorAction::ALL {
        assert_eq!(OperatorAction::parse(action.name()), Some(action));
    }
    assert_eq!(OperatorAction::parse("restock"), None);
}

#[test]
fn a_reason_is_a_text_of_bounded_length() {
    assert_eq!(check_reason(None), Ok(None));
    for blank in ["", " ", "\t \n", "\u{3000}"] {
        assert_eq!(check_reason(Some(blank.into())), Ok(None));
    }
    assert_eq!(check_reason(Some(" it burns\n".into())), Ok(Some(" it burns\n".into())));
    let longest = Some("车".repeat(REASON_MAX));
    assert_eq!(check_reason(longest.clone()), Ok(longest));
    assert!(check_reason(Some("x".repeat(REASON_MAX + 1))).unwrap_err().contains("500"));
    assert!(check_reason(Some("-".into())).unwrap_err().contains("hyphen"));
    assert_eq!(check_reason(Some("--".into())), Ok(Some("--".into())));
}
