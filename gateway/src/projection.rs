//! The read model of every sale: its journal consumer, snapshots, and what was acknowledged and not read back yet.

pub mod acknowledged;
pub mod consumer;
pub mod read_model;
pub mod snapshot;
pub mod tail;
