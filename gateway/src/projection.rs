//! The read model of every sale: journal consumer, snapshots, and the acknowledgement buffer.

pub mod acknowledged;
pub mod actions;
pub mod consumer;
pub mod read_model;
pub mod snapshot;
pub mod tail;
