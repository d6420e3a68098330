//! The paths of the admin calls, with their methods, and the role that reading them needs.

use crate::identify::ops_tokens::Role;
use crate::manage::admin::OperatorAction;

/// The methods of a path that is only read.
pub(super) const READ: &str = "GET, HEAD";

/// The methods of a path, and the role for its reads and leases; `None`: there is no such path.
pub(super) fn admin_path(steps: &[&str]) -> Option<(&'static str, Role)> {
    Some(match steps {
        ["sales", _, "journal"] => (READ, Role::Feed),
        ["sales", _, "journal", "lease"] => ("POST", Role::Feed),
        ["live" | "fleet" | "sales"] | ["limits", "log"] | ["sales", _, "audit"] => (READ, Role::Watch),
        ["limits"] => ("GET, HEAD, PATCH", Role::Watch),
        ["sales", _] => ("GET, HEAD, PUT", Role::Watch),
        ["sales", _, "buyers", _] => (READ, Role::Operate),
        ["sales", _, word] if *word == "restock" || OperatorAction::parse(word).is_some() => {
            ("POST", Role::Operate)
        }
        _ => return None,
    })
}
