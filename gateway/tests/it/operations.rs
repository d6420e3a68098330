//! Tests operations: actions, roles, the archive, doctor, metrics, the live page, the process, systemd.

pub mod archive;
pub mod doctor;
pub mod draw;
pub mod live;
pub mod metrics;
pub mod metrics_outside;
pub mod operator_actions;
pub mod ops_roles;
pub mod process;
pub mod sale_condition;
pub mod sd_notify;
pub mod self_checks;
