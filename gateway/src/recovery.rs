//! Recovery after a failover, and the expiry sweeper.

pub mod failover;
mod missing;
mod report;
pub mod sweeper;
