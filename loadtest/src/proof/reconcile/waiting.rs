//! The rules about buyers who sign up, enter a draw, or wait in a queue.

pub(super) mod draw;
pub(super) mod odds;
pub(super) mod queues;
pub(super) mod sign_ups;
#[cfg(test)]
mod tests;

/// A gateway's read model may be so much older than the ledger.
const READ_MODEL_MS: i64 = 2_000;
