//! What stands between a hand and an operator action: what it does to buyers, the reason, and a word that has to be typed.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::MetadataExt;

use crate::cli::args::ConfirmArgs;
use crate::domain::operator_action::check_reason;
use crate::manage::admin::Actor;
use crate::terminal::CommandError;

/// Bytes of a line that is typed; a terminal gives no more at once.
const LINE_BYTES_MAX: u64 = 4096;

/// An operator action that somebody wants to pull.
pub(super) struct ConfirmPrompt<'a> {
    /// Which, and on what: `close national-good-car`.
    pub(super) what: String,
    /// What it does to buyers.
    pub(super) effect: &'a str,
    /// What has to be typed to confirm it.
    pub(super) word: &'a str,
}

/// Says what an operator action does, and comes back with who pulls it and why, or not at all. With a terminal on standard input
/// the word has to be typed unless `--confirm` has it; without one, whoever wrote the script has named the sale already.
/// `state` is asked for only where somebody reads it before he decides.
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

/// The dialogue; without `input` nothing is asked. Everything that is said goes to `out`.
fn ask(
    prompt: &ConfirmPrompt<'_>,
    given: ConfirmArgs,
    state: &[String],
    input: Option<impl BufRead>,
    out: &mut impl Write,
) -> Result<Option<String>, CommandError> {
    let ConfirmPrompt { what, effect, word } = prompt;
    let reason = check_reason(given.reason).map_err(|why| CommandError::Usage(format!("--reason: {why}")))?;
    if let Some(other) = given.confirm.filter(|typed| typed != word) {
        return Err(CommandError::Usage(format!(
            "--confirm says {other:?} and not {word:?}, which {what} is about: nothing was done"
        )));
    }
    let Some(mut input) = input else {
        // Nobody may be there to read it, which is no reason not to do it.
        let _ = writeln!(out, "{what}: {effect}");
        return Ok(reason);
    };
    writeln!(out, "{what}")?;
    state.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
    writeln!(out, "{effect}")?;
    let reason = match reason {
        Some(reason) => Some(reason),
        None => {
            write!(out, "Why? It is written down with your name, {}: ", user_name())?;
            out.flush()?;
            let typed = line(&mut input)?;
            check_reason(typed.filter(|typed| !typed.is_empty())).map_err(CommandError::Usage)?
        }
    };
    write!(out, "Type {word} to do it, anything else to leave it: ")?;
    out.flush()?;
    match line(&mut input)? {
        Some(typed) if typed == *word => Ok(reason),
        _ => Err(CommandError::No("not confirmed: nothing was done".into())),
    }
}

/// What was typed, without the blanks around it; `None` at the end of input.
fn line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut typed = Vec::new();
    input.take(LINE_BYTES_MAX).read_until(b'\n', &mut typed)?;
    Ok((!typed.is_empty()).then(|| String::from_utf8_lossy(&typed).trim().to_owned()))
}

/// Who sits here, as the journal has it.
pub(super) fn user_name() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let uid = || std::fs::metadata("/proc/self").ok().map(|of_us| of_us.uid());
    let known = || uid().map(|uid| name_of(uid).unwrap_or_else(|| format!("uid-{uid}")));
    let user = named("SUDO_USER").or_else(|| named("USER")).or_else(known);
    format!("cli:{}", user.as_deref().unwrap_or("unknown"))
}

/// As /etc/passwd has it: over ssh and in cron there may be no `USER`.
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
