//! The reserve path: the queue of taps and its batches, and calls on one reservation.

pub mod batch;
pub mod changes;
pub mod freshness;
pub mod refusals;
pub mod tick;
