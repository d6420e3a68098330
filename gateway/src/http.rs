//! HTTP transport: connections, TLS, HTTP/2, timeouts, client addresses, requests and responses.

pub mod bind;
pub mod body;
pub mod connection_caps;
pub mod cors;
pub mod drain;
mod frame_budget;
pub mod gzip;
mod head_timer;
mod http2;
mod http2_requests;
pub mod lifetime;
mod lingering_close;
mod listener;
mod observed_io;
pub mod peer;
pub(crate) mod proxy_header;
pub mod request;
pub mod respond;
pub mod server;
pub mod tls;
