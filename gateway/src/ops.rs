//! The ops listener: health, metrics and the admin calls.

pub mod admin;
pub mod alarms;
pub(crate) mod exposition;
pub mod files;
pub mod health;
pub mod hosts;
pub mod live;
pub mod process;
pub mod rate_limits;
pub mod report;
mod roles;
pub mod self_checks;
mod thresholds;
pub mod view;
