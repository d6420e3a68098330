//! The reader's lease: of all relays with the same sale and name, one delivers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::failure::Failure;
use crate::feed::{ANSWER_TIMEOUT, BODY_BYTES_MAX, Feed, FeedError};
use crate::status::{Cause, Status};

/// A renewal must be answered early enough for another try.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks for the lease, renews it, and releases it.
#[derive(Debug, Clone)]
pub(crate) struct Leases {
    pub(crate) feed: Feed,
    pub(crate) status: Arc<Status>,
    /// Names this process: its host, its id, and something random, because ids return.
    pub(crate) holder: String,
    pub(crate) ttl: Duration,
}

/// A lease, renewed in the background until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    state: watch::Receiver<State>,
    renewal: JoinHandle<()>,
    status: Arc<Status>,
}

#[derive(Debug, Clone)]
enum State {
    Held { fence: u64, until: Instant },
    Lost(String),
    Refused(Failure),
}

/// How the lease ended.
#[derive(Debug)]
pub(crate) enum Lost {
    /// It can be asked for again.
    Ended(String),
    /// Trying again does not help.
    Refused(Failure),
}

#[derive(Deserialize)]
struct Granted {
    fence: u64,
}

impl Leases {
    pub(crate) fn new(feed: Feed, status: Arc<Status>, ttl: Duration) -> Self {
        let uname = rustix::system::uname();
        let host = uname.nodename().to_string_lossy();
        let holder = format!("{host}:{}:{:08x}", std::process::id(), fastrand::u32(..));
        Self { feed, status, holder, ttl }
    }

    /// Asks once.
    pub(crate) async fn ask(&self) -> Result<Lease, FeedError> {
        let asked = Instant::now();
        let fence = self.call(self.ttl, ANSWER_TIMEOUT).await?;
        let (sender, state) = watch::channel(State::Held { fence, until: asked + self.ttl });
        self.status.has_lease.store(true, Relaxed);
        let renewal = tokio::spawn(self.clone().renew(sender, asked));
        Ok(Lease { state, renewal, status: self.status.clone() })
    }

    /// Gives it back, so that another relay need not wait for its end.
    pub(crate) async fn release(&self, lease: Lease) {
        drop(lease);
        if let Err(error) = self.call(Duration::ZERO, RENEWAL_TIMEOUT).await {
            tracing::warn!(
                "the lease could not be released ({error:?}): it ends by itself, after {:?}",
                self.ttl
            );
        }
    }

    /// Renews it until it is lost.
    async fn renew(self, sender: watch::Sender<State>, mut renewed: Instant) {
        let mut backoff = Backoff::default();
        let mut next = renewed + self.ttl / 3;
        loop {
            let until = renewed + self.ttl;
            tokio::time::sleep_until(next.min(until)).await;
            if Instant::now() >= until {
                return self.lost(&sender, "it could not be renewed in time".to_owned());
            }
            let asked = Instant::now();
            match self.call(self.ttl, RENEWAL_TIMEOUT.min(until - asked)).await {
                Ok(fence) => {
                    backoff.reset();
                    renewed = asked;
                    next = renewed + self.ttl / 3;
                    sender.send_replace(State::Held { fence, until: renewed + self.ttl });
                }
                Err(FeedError::Held { holder, .. }) => {
                    return self.lost(&sender, format!("{holder} has it now"));
                }
                Err(FeedError::Fatal(failure)) => {
                    self.status.has_lease.store(false, Relaxed);
                    sender.send_replace(State::Refused(failure));
                    return;
                }
                Err(FeedError::SaleMissing) => {
                    return self.lost(&sender, "the gateway does not know the sale".to_owned());
                }
                Err(FeedError::Transient { .. } | FeedError::Forked { .. }) => {
                    next = Instant::now() + backoff.pause().min(self.ttl / 10);
                }
            }
        }
    }

    fn lost(&self, sender: &watch::Sender<State>, why: String) {
        self.status.has_lease.store(false, Relaxed);
        sender.send_replace(State::Lost(why));
    }

    /// Asks for the lease, renews it, or with no time releases it; returns the fence.
    async fn call(&self, ttl: Duration, timeout: Duration) -> Result<u64, FeedError> {
        let body = json!({
            "reader": self.status.reader,
            "holder": self.holder,
            "ttl_ms": u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            "state": self.status.of_lease(),
        });
        let url = self.feed.url(&["journal", "lease"]);
        let request = self.feed.http.post(url).json(&body).timeout(timeout);
        let (_, text) = self.feed.send(request, BODY_BYTES_MAX).await?;
        let granted: Granted = serde_json::from_str(&text).map_err(|error| FeedError::Transient {
            cause: Cause::GatewayAnswer,
            text: format!("the gateway's answer about the lease can't be read: {error}"),
            after: None,
        })?;
        Ok(granted.fence)
    }
}

impl Lease {
    /// The fence for the next delivery, if the lease still holds.
    pub(crate) fn fence(&self) -> Result<u64, Lost> {
        match &*self.state.borrow() {
            State::Held { fence, until } if Instant::now() < *until => Ok(*fence),
            State::Held { .. } => Err(Lost::Ended("it could not be renewed in time".to_owned())),
            State::Lost(why) => Err(Lost::Ended(why.clone())),
            State::Refused(failure) => Err(Lost::Refused(failure.clone())),
        }
    }

    /// Waits until it is lost.
    pub(crate) async fn lost(&self) {
        let mut state = self.state.clone();
        // An error is the end of the renewal, which says first how it ended.
        let _ = state.wait_for(|state| !matches!(state, State::Held { .. })).await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
        // Who holds it may find its end before the renewal does.
        self.status.has_lease.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lease_that_ended_by_the_clock_is_not_held_any_more() {
        let status = Arc::new(Status::new("small", "orders", "webhook"));
        status.has_lease.store(true, Relaxed);
        let (_sender, state) = watch::channel(State::Held { fence: 1, until: Instant::now() });
        let renewal = tokio::spawn(std::future::pending());
        let lease = Lease { state, renewal, status: status.clone() };
        assert!(matches!(lease.fence(), Err(Lost::Ended(_))));
        drop(lease);
        assert!(!status.has_lease.load(Relaxed), "nothing is sent by it");
    }
}
