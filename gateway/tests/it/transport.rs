//! Connections: TLS, HTTP/2, the PROXY protocol, their ends, balancers.

pub mod balancers;
pub mod connections;
pub mod lifetime;
pub mod proxies;
pub mod rolling;
pub mod tls;
pub mod wire;
