//! Recovery after a failover, and the expiry sweeper.

pub mod heal;
pub mod reaper;
