//! The reserve path: the queue of taps and its batches, and calls on one reservation.

pub mod batch;
pub mod changes;
pub mod round_waiters;
pub mod rounds;
pub mod signup;
pub mod standby;
mod take_back;
pub mod tick;
