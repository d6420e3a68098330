//! HTTP: connections, routes, requests and answers of the public listener. No Redis, no policy.

pub mod bind;
pub mod body;
pub mod connection_caps;
pub mod cors;
mod door;
mod farewell;
mod frame_budget;
mod head_timer;
mod http2;
pub mod openapi;
pub mod peer;
pub mod problem;
pub(crate) mod proxy_header;
pub mod request;
pub mod request_id;
pub mod reservations;
pub mod respond;
pub mod route;
pub mod sales;
pub mod server;
mod stall;
pub mod tls;
mod under_way;
pub mod view;
pub mod worker;
