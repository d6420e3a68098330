//! Types of a sale: definitions, items, reservations, decisions, phases, problems. No HTTP, Redis
//! or clock.

pub mod catalogue;
pub mod choice;
pub mod decision;
pub mod definition;
pub mod degrees;
pub mod draw;
pub(crate) mod duration;
pub mod hex;
pub mod identity;
pub(crate) mod label;
pub(crate) mod nearest;
pub mod operator_action;
pub mod policy;
pub mod polling;
pub mod price;
pub mod problem;
pub mod reservation;
pub mod rfc3339;
pub mod sale;
pub mod signup;
pub mod standby;
pub mod stores;
pub mod subject;
pub(crate) mod text;
