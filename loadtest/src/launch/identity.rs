//! Identifies this run: who made it, with what, where.

use crate::base::identity::{Identity, ProfileIdentity, new_run_id};
use crate::cli::line::command_line;
use crate::self_monitoring;

/// The identity of a run of this process with this profile.
pub(crate) fn of_this_run(profile: &ProfileIdentity) -> Identity {
    Identity {
        run_id: new_run_id(),
        tool: format!("loadtest {}", env!("CARGO_PKG_VERSION")),
        command_line: command_line(),
        profile: profile.clone(),
        machine: self_monitoring::describe(),
        parts: Vec::new(),
    }
}

/// The identity of a merge of these parts. Where no profile is given, the parts' is in force, with changes or without.
pub(crate) fn of_merge(parts: &Identity, profile: &ProfileIdentity, is_other: bool) -> Identity {
    let part = parts.parts.first().filter(|_| !is_other);
    let name = part.map_or_else(|| profile.name.clone(), |part| part.profile.name.clone());
    let profile = ProfileIdentity { name, digest: profile.digest.clone() };
    Identity { parts: parts.parts.clone(), ..of_this_run(&profile) }
}
