//! Serves the relay's metrics to Prometheus.

mod exposition;
mod listener;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::failure::Failure;
use crate::status::Status;
use listener::{HEADER_TIMEOUT, Listener};

/// Serves until it is dropped.
pub(crate) struct Metrics {
    _listener: Listener,
}

impl Metrics {
    /// Listens and serves.
    pub(crate) async fn start(
        address: SocketAddr,
        allow_beyond_loopback: bool,
        status: Arc<Status>,
    ) -> Result<Self, Failure> {
        if !address.ip().to_canonical().is_loopback() && !allow_beyond_loopback {
            return Err(Failure::Usage(format!(
                "--metrics-listen {address}: any client that reaches this address could read the metrics, without a \
                 token: use 127.0.0.1:{}, or allow it with --metrics-beyond-loopback",
                address.port()
            )));
        }
        let text = move || exposition::text(&status);
        let listener = Listener::start(address, HEADER_TIMEOUT, Arc::new(text)).await.map_err(|error| {
            Failure::Outside(format!(
                "--metrics-listen {address}: {error}: use an address of this machine and a port that is free"
            ))
        })?;
        tracing::info!("metrics at http://{}/metrics", listener.address());
        Ok(Self { _listener: listener })
    }
}
