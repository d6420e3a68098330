//! Recovery after a failover, and the expiry sweeper.

mod blocked;
mod collect;
pub mod failover;
mod missing;
pub mod release;
mod report;
pub mod sweeper;
