//! Writes the relay's man pages and shell completions, as packages ship them: `relay-pages FOLDER`, which is `/usr/share` there.
//!
//! A program of its own, because those of the gateway are written by one that the demo builds, and the relay takes long to build.

use std::io::{Write, stderr};
use std::path::Path;
use std::process::ExitCode;

#[path = "../../../testkit/src/pages.rs"]
#[allow(unreachable_pub, reason = "testkit's library shows it to its program")]
mod pages;

fn main() -> ExitCode {
    let folders: Vec<_> = std::env::args_os().skip(1).collect();
    let [folder] = folders.as_slice() else {
        let _ = writeln!(stderr(), "relay-pages: expected one folder");
        return ExitCode::from(2);
    };
    match pages::write(&relay::command(), Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(stderr(), "relay-pages: can't write the pages: {error}");
            ExitCode::from(3)
        }
    }
}
