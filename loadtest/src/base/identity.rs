//! Defines what identifies a run: its id, the program, its command line, its profile and the machine.

use serde::{Deserialize, Serialize};

/// What a run was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Drawn: no other run has it.
    pub(crate) run_id: String,
    /// The program and its version.
    pub(crate) tool: String,
    /// As a shell takes it, with the variables that stood for options. Values of `--header` are left out.
    pub(crate) command_line: String,
    pub(crate) profile: ProfileIdentity,
    pub(crate) machine: Machine,
    /// What the parts of a merged run were made with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Identity>,
}

/// Which profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProfileIdentity {
    /// The path as it was given, or `built-in`.
    pub(crate) name: String,
    /// Of all values that were in force, those of `--set` included.
    pub(crate) digest: String,
}

/// The machine of a load generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) hostname: String,
    pub(crate) kernel: String,
    /// That this process may use.
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
}

/// Lower-case letters and digits that are not taken for another one.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// 50 bits: of a million runs two have the same id once in 2,000 times.
const LENGTH: usize = 10;

/// A new id.
pub(crate) fn new_run_id() -> String {
    (0..LENGTH).map(|_| char::from(LETTERS[fastrand::usize(..LETTERS.len())])).collect()
}

impl Identity {
    /// In a line: which run it is.
    pub(crate) fn words(&self) -> String {
        format!("{}, {}, profile {}", self.run_id, self.tool, self.profile.words())
    }
}

impl ProfileIdentity {
    pub(crate) fn words(&self) -> String {
        format!("{} ({})", self.name, self.digest)
    }
}

impl Machine {
    pub(crate) fn words(&self) -> String {
        let Machine { hostname, kernel, cores, memory_mib } = self;
        format!("{hostname}: {cores} cores, {memory_mib} MiB, Linux {kernel}")
    }
}

#[cfg(test)]
mod tests;
