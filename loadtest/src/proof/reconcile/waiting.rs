//! The rules about buyers who sign up, enter a draw, or wait in a queue.

pub(super) mod draw;
pub(super) mod odds;
pub(super) mod places;
pub(super) mod queues;
pub(super) mod sign_ups;
#[cfg(test)]
mod tests;
