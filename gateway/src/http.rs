//! HTTP transport: connections, TLS, HTTP/2, timeouts, client addresses, requests and answers. No Redis, no routes.

pub mod bind;
pub mod body;
pub mod connection_caps;
pub mod cors;
mod door;
pub mod drain;
mod farewell;
mod first_byte;
mod frame_budget;
mod head_timer;
mod http2;
pub mod lifetime;
pub mod peer;
pub(crate) mod proxy_header;
pub mod request;
pub mod respond;
pub mod server;
mod stall;
pub mod tls;
mod under_way;
