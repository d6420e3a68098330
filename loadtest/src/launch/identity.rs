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
