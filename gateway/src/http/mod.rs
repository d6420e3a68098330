//! HTTP: connections, routes, requests and answers of the public listener. No Redis, no policy.

pub mod cors;
mod head_timer;
pub mod openapi;
pub mod problem;
pub mod request;
pub mod reservations;
pub mod respond;
pub mod route;
pub mod sales;
pub mod server;
mod stall;
pub mod view;
pub mod worker;
