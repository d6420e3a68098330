use super::*;

fn given(reason: Option<&str>, confirm: Option<&str>) -> ConfirmArgs {
    ConfirmArgs { reason: reason.map(Into::into), confirm: confirm.map(Into::into) }
}

/// What comes of it, and what was said.
fn asked(given: ConfirmArgs, typed: Option<&str>) -> (Result<Option<String>, CommandError>, String) {
    let prompt = ConfirmPrompt { what: "close small".into(), effect: "It is over.", word: "small" };
    let mut out = Vec::new();
    let done = ask(&prompt, given, &["Small, open".into()], typed.map(str::as_bytes), &mut out);
    (done, String::from_utf8(out).unwrap())
}

#[test]
fn the_word_has_to_be_typed_and_nothing_else_will_do() {
    for typed in ["", "\n\n", "why\n", "why\nSmall\n", "why\nyes\n", "why\nsmall small\n", "small\n"] {
        let (done, said) = asked(given(None, None), Some(typed));
        assert!(matches!(done, Err(CommandError::No(_))), "{typed:?}: {done:?}");
        assert!(said.starts_with("close small\n  Small, open\nIt is over.\nWhy?"), "{said}");
    }
    let (done, said) = asked(given(None, None), Some("bots \n small\r\n"));
    assert_eq!(done.unwrap().as_deref(), Some("bots"));
    assert!(said.ends_with("Type small to do it, anything else to leave it: "), "{said}");
}

#[test]
fn a_reason_is_asked_for_only_if_none_was_given_and_may_stay_out() {
    let (done, said) = asked(given(Some("bots"), None), Some("small\n"));
    assert_eq!(done.unwrap().as_deref(), Some("bots"));
    assert!(!said.contains("Why?"), "{said}");
    assert_eq!(asked(given(None, None), Some("\nsmall\n")).0.unwrap(), None);
    let long = "x".repeat(501);
    assert!(matches!(asked(given(Some(&long), None), Some("small\n")).0, Err(CommandError::Usage(_))));
    assert!(matches!(
        asked(given(None, None), Some(&format!("{long}\nsmall\n"))).0,
        Err(CommandError::Usage(_))
    ));
}

#[test]
fn without_a_terminal_the_action_runs_unless_another_word_is_given() {
    for confirm in [None, Some("small")] {
        let (done, said) = asked(given(Some("bots"), confirm), None);
        assert_eq!(done.unwrap().as_deref(), Some("bots"));
        assert_eq!(said, "close small: It is over.\n");
    }
    for typed in [None, Some("why\nsmall\n")] {
        let (done, said) = asked(given(None, Some("another")), typed);
        assert!(matches!(&done, Err(CommandError::Usage(why)) if why.contains("\"another\"")), "{done:?}");
        assert_eq!(said, "");
    }
}

#[test]
fn a_line_without_an_end_is_not_read_to_its_end() {
    let endless = "x".repeat(10_000);
    let (done, _) = asked(given(Some("y"), None), Some(&endless));
    assert!(matches!(done, Err(CommandError::No(_))), "{done:?}");
}
