//! Tests the contract of every call on both listeners and of the command line.

pub mod admin;
pub mod amend;
pub mod browsers;
pub mod cli;
pub mod definition;
pub mod draw;
pub mod journal;
pub mod lease;
pub mod limits;
pub mod methods;
pub mod order;
pub mod public;
pub mod request_ids;
pub mod reservation;
pub mod reserve;
pub mod sales;
pub mod serve;
pub mod signup;
pub mod smoke;
pub mod standby;
pub mod stores;
