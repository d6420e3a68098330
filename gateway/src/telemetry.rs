//! Metrics, request ids and the log.

pub mod labels;
pub mod list;
pub mod log;
pub mod metrics;
pub mod record;
pub mod request_id;
pub mod taps;
pub mod uses;
