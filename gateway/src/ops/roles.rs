//! The role that each call of the ops listener needs.

use hyper::Method;

use crate::identify::ops_tokens::Role;

/// The role that a call needs. Unknown paths need the role with all rights.
pub(super) fn needed_role(method: &Method, steps: &[&str]) -> Role {
    match steps {
        ["sales", _, "journal"] if *method == Method::GET => Role::Feed,
        ["live" | "fleet" | "limits" | "sales"]
        | ["limits", "log"]
        | ["sales", _]
        | ["sales", _, "audit"]
            if *method == Method::GET =>
        {
            Role::Watch
        }
        _ => Role::Operate,
    }
}
