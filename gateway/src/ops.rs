//! The ops listener: health, metrics and the admin calls.

pub mod admin;
pub mod alarms;
pub(crate) mod exposition;
pub mod feed;
pub mod files;
pub mod health;
pub mod hosts;
pub mod live;
mod paths;
pub mod process;
pub mod rate_limits;
pub mod report;
pub mod self_checks;
pub mod status;
mod thresholds;
pub mod view;
