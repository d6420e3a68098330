//! Prints the report to stdout, problems to stderr.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use rustix::stdio::dup2_stdout;

/// The program's own stdout, once goose's has been taken from it.
static STDOUT: OnceLock<File> = OnceLock::new();

/// Where the report goes when a summary has stdout.
static REPORT: OnceLock<File> = OnceLock::new();

/// Reserves stdout for this program and gives goose a null one: goose prints a line when all users
/// have started, panics if no reader is left, and blocks on a slow one.
pub(crate) fn keep_stdout() -> io::Result<()> {
    let own = io::stdout().as_fd().try_clone_to_owned()?;
    dup2_stdout(OpenOptions::new().write(true).open("/dev/null")?)?;
    let _ = STDOUT.set(own.into());
    Ok(())
}

/// Keeps stdout for a summary: the report goes to stderr from now on.
pub(crate) fn keep_stdout_for_summary() -> io::Result<()> {
    let _ = REPORT.set(io::stderr().as_fd().try_clone_to_owned()?.into());
    Ok(())
}

/// Where the report goes.
pub(crate) fn stdout() -> io::Result<File> {
    match REPORT.get().or(STDOUT.get()) {
        Some(own) => own.try_clone(),
        None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
    }
}

/// Prints a line of the report. A reader that has gone away (`| head`) does not end the load.
pub(crate) fn line(text: &str) {
    self::text(&format!("{text}\n"));
}

/// Prints what has its line ends already, likewise.
pub(crate) fn text(text: &str) {
    let _ = stdout().and_then(|mut out| out.write_all(text.as_bytes()));
}

/// Writes a summary to the stdout that was kept for it.
pub(crate) fn summary(text: &str) -> io::Result<()> {
    let mut out = match STDOUT.get() {
        Some(own) => own.try_clone()?,
        None => io::stdout().as_fd().try_clone_to_owned()?.into(),
    };
    out.write_all(text.as_bytes())
}

/// Prints why the program could not do what it was asked to.
pub(crate) fn problem(text: &str) {
    let _ = writeln!(io::stderr().lock(), "loadtest: {text}");
}
