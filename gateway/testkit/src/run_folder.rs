//! The folder of one run: secrets, configurations and logs of what is started, and where our programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Failed;
use crate::cli::{Ended, try_end};
use crate::files::write_secret;
use crate::gateway::{OPS_TOKEN, SECRET, write_secrets};

/// It goes with this.
pub struct RunFolder {
    dir: TempDir,
    bin: PathBuf,
}

impl RunFolder {
    /// A new one, with the files `secret` and `ops`, for programs of this folder.
    pub fn new(bin: &Path) -> Result<Self, Failed> {
        let dir = tempfile::tempdir().map_err(Failed::to("make a directory"))?;
        write_secrets(dir.path(), SECRET, OPS_TOKEN)?;
        Ok(Self { dir, bin: bin.to_owned() })
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file that only its owner may read.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failed> {
        let path = self.path(name);
        write_secret(&path, text)?;
        Ok(path)
    }

    /// The path of one of our programs.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    /// One of our programs.
    pub fn program(&self, name: &str) -> Command {
        Command::new(self.binary(name))
    }

    /// Runs one of our programs to its end.
    pub fn end(&self, name: &str, args: &[&str]) -> Result<Ended, Failed> {
        let mut command = self.program(name);
        command.args(args);
        try_end(command)
    }

    /// The same for one that must succeed; its output.
    pub fn run(&self, name: &str, args: &[&str]) -> Result<String, Failed> {
        let Ended { code, out, err } = self.end(name, args)?;
        if code == 0 { Ok(out) } else { Err(Failed::Wrong(format!("{name} {}: {out}{err}", args.join(" ")))) }
    }
}
