//! Serves the load generator's own metrics to Prometheus, if it has an address.

#[path = "../../../gateway/relay/src/metrics/listener.rs"]
mod listener;
mod moments;
mod render;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use listener::{HEADER_TIMEOUT, Listener};

use crate::base::failure::Failure;
use crate::figures::Figures;
use crate::self_monitoring::{Gauges, Traffic};

pub(crate) use moments::Moments;

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listen {
    /// Port 0 takes a free one.
    pub(crate) address: SocketAddr,
    /// There is neither TLS nor a token: any client that reaches the address can read the metrics.
    pub(crate) allow_beyond_loopback: bool,
}

/// What a scrape reads; nothing is counted for it.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) figures: Arc<Mutex<Figures>>,
    pub(crate) gauges: Gauges,
    pub(crate) traffic: Traffic,
    pub(crate) run: RunLabels,
    pub(crate) moments: Arc<Moments>,
    /// The requests that the run will make: they are there, at zero, before the first of them.
    pub(crate) requests: &'static [&'static str],
}

/// Which run it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunLabels {
    pub(crate) run_id: String,
    pub(crate) scenario: String,
    pub(crate) sale: String,
    pub(crate) tool: String,
}

/// Serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Metrics(Listener);

impl Metrics {
    /// Listens and serves.
    pub(crate) async fn start(listen: Listen, sources: Sources) -> Result<Metrics, Failure> {
        Metrics::start_with(listen, sources, HEADER_TIMEOUT).await
    }

    async fn start_with(
        listen: Listen,
        sources: Sources,
        header_timeout: Duration,
    ) -> Result<Metrics, Failure> {
        let asked = listen.address;
        if !asked.ip().to_canonical().is_loopback() && !listen.allow_beyond_loopback {
            return Err(Failure::Usage(format!(
                "--metrics-listen {asked}: any client that reaches this address could read the metrics, without a \
                 token: use 127.0.0.1:{}, or allow it with --metrics-beyond-loopback",
                asked.port()
            )));
        }
        let started = Listener::start(asked, header_timeout, Arc::new(move || sources.text())).await;
        started.map(Metrics).map_err(|error| {
            Failure::Outside(format!(
                "--metrics-listen {asked}: {error}: use an address of this machine and a port that is free, or port 0"
            ))
        })
    }

    /// Where it listens, with the port that it got.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address()
    }
}
