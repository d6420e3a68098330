//! Owns what the program prints: the report goes to stdout, problems to stderr.

use std::io::Write;

/// Prints a line of the report. A reader that has gone away (`| head`) does not end the load.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints what has its line ends already.
pub(crate) fn text(text: &str) {
    let _ = write!(std::io::stdout().lock(), "{text}");
}

/// Prints why the program could not do what it was asked to.
pub(crate) fn problem(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "loadtest: {text}");
}
