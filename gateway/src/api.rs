//! The public API: routes, handlers and JSON views.

pub mod bodies;
pub(crate) mod decisions;
pub mod document;
pub mod draw;
pub mod reservations;
pub mod route;
pub mod sales;
pub mod signup;
pub mod standby;
pub mod stores;
pub mod view;
pub mod worker;
