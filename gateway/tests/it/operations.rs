//! Tests operations: actions, roles, the archive, doctor, metrics, the live page, the process.

pub mod archive;
pub mod doctor;
pub mod live;
pub mod metrics;
pub mod metrics_outside;
pub mod operator_actions;
pub mod ops_roles;
pub mod process;
pub mod self_checks;
