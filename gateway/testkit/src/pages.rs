//! Writes the man pages and shell completions of a program.
//!
//! The relay's pages include this file.

use std::fs::create_dir_all;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

/// Writes the pages of a program into the folder that is `/usr/share` of a package.
///
/// # Errors
///
/// A file can't be written.
pub fn write(program: &Command, share: &Path) -> io::Result<()> {
    let folder = |name: &str| {
        let path = share.join(name);
        create_dir_all(&path).map(|()| path)
    };
    clap_mangen::generate_to(program.clone(), folder("man/man1")?)?;
    for (shell, name) in [
        (Shell::Bash, "bash-completion/completions"),
        (Shell::Zsh, "zsh/vendor-completions"),
        (Shell::Fish, "fish/vendor_completions.d"),
    ] {
        clap_complete::generate_to(shell, &mut program.clone(), program.get_name(), folder(name)?)?;
    }
    Ok(())
}
