//! Caps of the open connections of a listener: in all, and from one client address.
//!
//! One set of counters for the whole process. The kernel spreads connections over workers by a hash, so
//! an equal share for each worker would refuse connections while other workers have room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::admit::limits::network;
use crate::domain::decision::Shed;
use crate::telemetry::labels::Ended;

/// Interval of log lines about addresses at their cap.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The caps of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapSettings {
    /// Open connections, handshakes included; more get 503 and are closed, with TLS they are only closed.
    pub connections_max: usize,
    /// Open connections of one client address (IPv6: one /64); `None`: up to the cap of the listener.
    pub per_address_max: Option<usize>,
}

/// The cap that a connection exceeds: the causes that its refusal and its end are counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CapExceeded {
    pub(super) shed: Shed,
    pub(super) ended: Ended,
}

impl CapExceeded {
    /// The cap of the listener.
    const LISTENER: Self = Self { shed: Shed::Connections, ended: Ended::OverCap };
    /// The cap of its client address.
    const ADDRESS: Self = Self { shed: Shed::Address, ended: Ended::OverAddressCap };
}

/// The open connections of one listener, shared by its workers.
#[derive(Debug)]
pub struct ConnectionCaps {
    settings: CapSettings,
    open: AtomicUsize,
    /// Open connections by address. Only addresses with at least one have an entry, so there are never
    /// more than `connections_max`.
    by_address: Mutex<HashMap<IpAddr, usize>>,
    logged: Mutex<Option<Instant>>,
}

impl Default for ConnectionCaps {
    fn default() -> Self {
        Self::new(CapSettings { connections_max: usize::MAX, per_address_max: None })
    }
}

impl ConnectionCaps {
    /// Counters at zero.
    pub fn new(settings: CapSettings) -> Self {
        Self { settings, open: AtomicUsize::new(0), by_address: Mutex::default(), logged: Mutex::new(None) }
    }

    /// Counts one more connection until the permit is dropped.
    pub(super) fn open(self: &Arc<Self>) -> Result<ConnectionPermit, CapExceeded> {
        if self.open.fetch_add(1, Relaxed) >= self.settings.connections_max {
            self.open.fetch_sub(1, Relaxed);
            return Err(CapExceeded::LISTENER);
        }
        Ok(ConnectionPermit { caps: self.clone(), address: None })
    }

    /// Whether a log line about an address at its cap is due.
    fn may_log(&self) -> bool {
        let mut logged = lock(&self.logged);
        let is_due = logged.is_none_or(|at| at.elapsed() >= LOG_EVERY);
        if is_due {
            *logged = Some(Instant::now());
        }
        is_due
    }
}

/// An open connection.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    caps: Arc<ConnectionCaps>,
    /// The address that it is counted for.
    address: Option<IpAddr>,
}

impl ConnectionPermit {
    /// Counts it for a client address too. The caller leaves out trusted proxies, which have many clients.
    pub(super) fn count_for(&mut self, client: IpAddr) -> Result<(), CapExceeded> {
        let Some(most) = self.caps.settings.per_address_max else {
            return Ok(());
        };
        let address = network(client);
        {
            let mut by_address = lock(&self.caps.by_address);
            let open = by_address.entry(address).or_default();
            if *open < most {
                *open += 1;
                self.address = Some(address);
                return Ok(());
            }
        }
        if self.caps.may_log() {
            tracing::warn!(
                %address,
                connections = most,
                "a client address has as many connections as --connections-per-address-max allows; more are refused. If it \
                 is a proxy or a balancer, name it in --trusted-proxies"
            );
        }
        Err(CapExceeded::ADDRESS)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.caps.open.fetch_sub(1, Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = lock(&self.caps.by_address);
        if let Some(open) = by_address.get_mut(&address) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// A panic cannot leave plain numbers half written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
