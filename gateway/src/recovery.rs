//! Recovery after a failover, and the expiry sweeper.

mod collect;
pub mod failover;
mod missing;
pub mod release;
mod report;
mod state;
pub mod sweeper;
