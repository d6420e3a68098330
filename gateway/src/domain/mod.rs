//! The words of a sale as types: definitions, items, reservations, phases. Pure: no IO, no HTTP, no Redis, no clock.

pub mod catalogue;
pub mod definition;
pub mod identity;
pub mod lever;
pub mod reservation;
pub mod rfc3339;
pub mod sale;
pub mod subject;
pub(crate) mod text;
