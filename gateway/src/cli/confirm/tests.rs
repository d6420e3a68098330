//! Unit tests of `confirm.rs`.

use super::*;

fn given(reason: Option<&str>, confirm: Option<&str>) -> ConfirmArgs {
    ConfirmArgs { reason: reason.map(Into::into), confirm: confirm.map(Into::into) }
}

/// The result, and the output of the dialogue.
fn asked(given: ConfirmArgs, typed: Option<&str>) -> (Result<Option<String>, CommandError>, String) {
    asked_about(&prompt(false), given, typed)
}

fn prompt(is_final: bool) -> ConfirmPrompt<'static> {
    let (what, meaning) = ("close small".into(), vec!["This takes 55 away.".into()]);
    ConfirmPrompt { what, meaning, effect: "It is over.", word: "small", is_final }
}

fn asked_about(
    prompt: &ConfirmPrompt<'_>,
    given: ConfirmArgs,
    typed: Option<&str>,
) -> (Result<Option<String>, CommandError>, String) {
    let mut out = Vec::new();
    let done = ask(prompt, given, &["Small, open".into()], typed.map(str::as_bytes), &mut out);
    (done, String::from_utf8(out).unwrap())
}

#[test]
fn only_the_typed_word_confirms() {
    for typed in ["", "\n\n", "why\n", "why\nSmall\n", "why\nyes\n", "why\nsmall small\n", "small\n"] {
        let (done, output) = asked(given(None, None), Some(typed));
        assert!(matches!(done, Err(CommandError::No(_))), "{typed:?}: {done:?}");
        let begin = "close small\n  Small, open\nThis takes 55 away.\nIt is over.\nWhy?";
        assert!(output.starts_with(begin), "{output}");
    }
    let (done, output) = asked(given(None, None), Some("bots \n small\r\n"));
    assert_eq!(done.unwrap().as_deref(), Some("bots"));
    assert!(output.ends_with("Type small to confirm, anything else to cancel: "), "{output}");
}

#[test]
fn a_reason_is_asked_for_if_missing_and_may_be_empty() {
    let (done, output) = asked(given(Some("bots"), None), Some("small\n"));
    assert_eq!(done.unwrap().as_deref(), Some("bots"));
    assert!(!output.contains("Why?"), "{output}");
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
        let (done, output) = asked(given(Some("bots"), confirm), None);
        assert_eq!(done.unwrap().as_deref(), Some("bots"));
        assert_eq!(output, "close small: This takes 55 away. It is over.\n");
    }
    for typed in [None, Some("why\nsmall\n")] {
        let (done, output) = asked(given(None, Some("another")), typed);
        assert!(matches!(&done, Err(CommandError::Usage(why)) if why.contains("\"another\"")), "{done:?}");
        assert_eq!(output, "");
    }
}

#[test]
fn without_a_terminal_what_is_final_needs_the_word() {
    let (done, output) = asked_about(&prompt(true), given(Some("over"), None), None);
    assert!(matches!(&done, Err(CommandError::Usage(why)) if why.contains("--confirm small")), "{done:?}");
    assert_eq!(output, "");
    let (done, _) = asked_about(&prompt(true), given(Some("over"), Some("small")), None);
    assert_eq!(done.unwrap().as_deref(), Some("over"));
    // At a terminal it is typed.
    let (done, _) = asked_about(&prompt(true), given(Some("over"), None), Some("small\n"));
    assert_eq!(done.unwrap().as_deref(), Some("over"));
}

#[test]
fn a_line_without_an_end_is_cut() {
    let endless = "x".repeat(10_000);
    let (done, _) = asked(given(Some("y"), None), Some(&endless));
    assert!(matches!(done, Err(CommandError::No(_))), "{done:?}");
}
