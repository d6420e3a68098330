//! Asks an operator to confirm an action: shows its effect on buyers, and asks for a reason and a word to type.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;

use crate::cli::args::ConfirmArgs;
use crate::domain::operator_action::check_reason;
use crate::manage::admin::Actor;
use crate::terminal::CommandError;

/// The longest line that is read; a terminal delivers no more at once.
const LINE_BYTES_MAX: u64 = 4096;

/// An operator action to be confirmed.
pub(super) struct ConfirmPrompt<'a> {
    /// The action and its target: `close national-good-car`.
    pub(super) what: String,
    /// What its numbers mean, a line each.
    pub(super) meaning: Vec<String>,
    /// Its effect on buyers.
    pub(super) effect: &'a str,
    /// The word to type.
    pub(super) word: &'a str,
    /// It can't be undone: without a terminal it needs the word, too.
    pub(super) is_final: bool,
}

/// Asks for confirmation, and returns the actor with the reason. At a terminal the word must be typed
/// unless `--confirm` has it; without a terminal the script has named the sale already, and has to name it
/// twice only for what is final. `state` is read only for a terminal.
pub(super) async fn confirm(
    prompt: &ConfirmPrompt<'_>,
    given: ConfirmArgs,
    state: impl Future<Output = Result<Vec<String>, CommandError>>,
) -> Result<Actor, CommandError> {
    let stdin = io::stdin();
    let asks = stdin.is_terminal() && given.confirm.is_none();
    let state = if asks { state.await? } else { Vec::new() };
    let reason = ask(prompt, given, &state, asks.then(|| stdin.lock()), &mut io::stderr().lock())?;
    Ok(Actor { who: user_name(), reason })
}

/// The dialogue, written to `out`; without `input` it asks nothing.
fn ask(
    prompt: &ConfirmPrompt<'_>,
    given: ConfirmArgs,
    state: &[String],
    input: Option<impl BufRead>,
    out: &mut impl Write,
) -> Result<Option<String>, CommandError> {
    let ConfirmPrompt { what, meaning, effect, word, is_final } = prompt;
    let reason = check_reason(given.reason).map_err(|e| CommandError::Usage(format!("--reason: {e}")))?;
    if *is_final && input.is_none() && given.confirm.is_none() {
        return Err(CommandError::Usage(format!(
            "{what}: it can't be undone, so it needs --confirm {word} where standard input is not a terminal: nothing was done"
        )));
    }
    if let Some(other) = given.confirm.filter(|typed| typed != word) {
        return Err(CommandError::Usage(format!(
            "--confirm: expected {word:?} for {what}, found {other:?}: nothing was done"
        )));
    }
    let Some(mut input) = input else {
        // Standard error may be closed; the action is done nevertheless.
        let _ = writeln!(
            out,
            "{what}: {}{effect}",
            meaning.iter().map(|line| format!("{line} ")).collect::<String>()
        );
        return Ok(reason);
    };
    writeln!(out, "{what}")?;
    state.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    meaning.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "{effect}")?;
    let reason = match reason {
        Some(reason) => Some(reason),
        None => {
            write!(out, "Why? It is written down with your name, {}: ", user_name())?;
            out.flush()?;
            check_reason(line(&mut input)?).map_err(CommandError::Usage)?
        }
    };
    write!(out, "Type {word} to confirm, anything else to cancel: ")?;
    out.flush()?;
    match line(&mut input)? {
        Some(typed) if typed == *word => Ok(reason),
        _ => Err(CommandError::No("not confirmed: nothing was done".into())),
    }
}

/// The typed line, trimmed; `None` at the end of input.
fn line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut typed = Vec::new();
    input.take(LINE_BYTES_MAX).read_until(b'\n', &mut typed)?;
    Ok((!typed.is_empty()).then(|| String::from_utf8_lossy(&typed).trim().to_owned()))
}

/// The user of this command, as the journal records it.
pub(super) fn user_name() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let uid = || std::fs::metadata("/proc/self").ok().map(|of_us| of_us.uid());
    let by_uid = || uid().map(|uid| name_of(uid).unwrap_or_else(|| format!("uid-{uid}")));
    let user = named("SUDO_USER").or_else(|| named("USER")).or_else(by_uid);
    format!("cli:{}", user.as_deref().unwrap_or("unknown"))
}

/// The name from /etc/passwd: over ssh and in cron there may be no `USER`.
fn name_of(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let of = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_owned())
    };
    users.lines().find_map(of)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
