//! Launches: many buyers at once, batches, clocks.

pub mod batches;
pub mod growth;
pub mod spike;
pub mod time;
pub mod two_gateways;
