//! Keeps the connections that rest between two requests.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::client::link::Link;

/// Open connections that no request uses. The one that was used last is at the end, and is used first.
pub(super) struct Resting {
    links: Mutex<Vec<Link>>,
    max: usize,
    /// How long one may rest.
    idle_max: Option<Duration>,
}

/// Below the gateway's idle timeout, and longer than the wait from warming up to the opening.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

impl Resting {
    /// Of one gateway, for all buyers that share them.
    pub(super) fn shared(max: usize) -> Resting {
        Resting { links: Mutex::default(), max, idle_max: Some(IDLE_TIMEOUT) }
    }

    /// Of one buyer, to any gateway: they stay open until the gateway closes them, or the buyer's session ends.
    pub(super) fn own(max: usize) -> Resting {
        Resting { links: Mutex::default(), max, idle_max: None }
    }

    /// A connection to this gateway that is still open, as far as can be known before it is used.
    pub(super) async fn take(&self, gateway: usize) -> Option<Link> {
        loop {
            let mut link = self.pop(gateway)?;
            if link.is_open().await {
                return Some(link);
            }
        }
    }

    fn pop(&self, gateway: usize) -> Option<Link> {
        let mut links = self.links();
        let place = links.iter().rposition(|link| link.gateway == gateway)?;
        if self.idle_max.is_some_and(|max| links[place].used.elapsed() > max) {
            // And all before it, which have rested for longer.
            links.clear();
            return None;
        }
        Some(links.remove(place))
    }

    /// Closes the one that has rested longest, so that a new connection is not one more.
    pub(super) fn make_room(&self) {
        let mut links = self.links();
        if !links.is_empty() {
            links.remove(0);
        }
    }

    /// Keeps a connection for later.
    pub(super) fn put(&self, mut link: Link, now: Instant) {
        link.used = now;
        let mut links = self.links();
        if links.len() < self.max {
            links.push(link);
        }
    }

    /// Keeps another handle of a connection that several requests may use at once, unless there is one already.
    pub(super) fn put_shareable(&self, link: &Link) {
        let Some(handle) = link.share() else { return };
        let mut links = self.links();
        if links.len() < self.max && links.iter().all(|other| other.gateway != link.gateway) {
            links.push(handle);
        }
    }

    fn links(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
