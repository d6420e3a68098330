//! The words of a sale as types: definitions, items, reservations, phases. Pure: no IO, no HTTP, no Redis, no clock.

pub mod definition;
