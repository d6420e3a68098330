//! A sink of webhooks with a clock that the test moves, and a real receiver.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use relay::change::{Change, Page};
use relay::sink::Sink;
use relay::status::Status;
use relay::webhook::clock::Clock;
use relay::webhook::sender::Sender;
use relay::webhook::{Rest, WebhookSetup, Webhooks};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tempfile::TempDir;
use testkit::{PATIENCE, eventually};

use super::receiver::{Receiver, SECRET};

pub(crate) const SALE: &str = "car";
/// Of the relay; the receiver's is the one of the option.
const CONCURRENCY: usize = 4;
const START: i64 = 1_764_460_800_000;

/// Everything that a test of webhooks needs.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) receiver: Receiver,
    pub(crate) clock: Clock,
    pub(crate) status: Arc<Status>,
    pub(crate) timeout: Duration,
    webhooks: Option<Webhooks>,
    /// The sequence of the newest change.
    sequence: u64,
    /// Content of its changes.
    history: &'static str,
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), SECRET).unwrap();
        let status = Arc::new(Status::new(SALE, "orders", "webhook"));
        status.has_lease.store(true, SeqCst);
        let mut stage = Self {
            folder,
            receiver: Receiver::start().await,
            clock: Clock::manual(START),
            status,
            timeout: Duration::from_secs(15),
            webhooks: None,
            sequence: 0,
            history: "x",
        };
        stage.start().await;
        stage
    }

    /// Starts the sink, also again: the one before was ended at once, in the middle of whatever it did.
    pub(crate) async fn start(&mut self) {
        self.webhooks = None;
        let sender = Sender::new(&self.receiver.url, false, self.timeout, tls()).unwrap();
        let started = eventually("the folder is free", async || {
            let setup = WebhookSetup {
                state_dir: &self.state_dir(),
                secret_file: &self.secret_file(),
                sender: sender.clone(),
                concurrency: CONCURRENCY,
                clock: self.clock.clone(),
                status: self.status.clone(),
            };
            Webhooks::start(setup).ok()
        });
        self.webhooks = Some(started.await);
    }

    pub(crate) fn state_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn secret_file(&self) -> std::path::PathBuf {
        self.folder.path().join("secret")
    }

    pub(crate) fn webhooks(&mut self) -> &mut Webhooks {
        self.webhooks.as_mut().unwrap()
    }

    /// The feed has one change more of each of these reservations.
    pub(crate) async fn deliver<'a>(&mut self, reservations: impl IntoIterator<Item = &'a str>) {
        let changes: Vec<Change> =
            reservations.into_iter().map(|reservation| self.next(reservation)).collect();
        let cursor = changes.last().unwrap().cursor.clone();
        self.webhooks().deliver(&Page { changes, cursor }, 1).await.unwrap();
    }

    fn next(&mut self, reservation: &str) -> Change {
        self.sequence += 1;
        change(self.sequence, reservation, self.history)
    }

    /// The feed goes on from here, with another history.
    pub(crate) fn go_back_to(&mut self, sequence: u64) {
        (self.sequence, self.history) = (sequence, "new");
    }

    /// Waits until nothing happens before the clock is moved.
    pub(crate) async fn rest(&mut self) -> Rest {
        tokio::time::timeout(PATIENCE, self.webhooks().until_it_rests()).await.expect("it rests")
    }

    /// Waits until the sink is in such a state.
    pub(crate) async fn until(&mut self, what: &str, mut is_so: impl FnMut(&Rest) -> bool) {
        let mut rest = self.webhooks().rest();
        let so = tokio::time::timeout(PATIENCE, rest.wait_for(|rest| is_so(rest))).await;
        so.unwrap_or_else(|_| panic!("never came true: {what}")).unwrap();
    }

    /// Moves the clock from one attempt to the next, until all is delivered, or this much time has gone by.
    pub(crate) async fn pass(&mut self, longest: Duration) -> Rest {
        let end = self.clock.now() + i64::try_from(longest.as_millis()).unwrap();
        loop {
            let rest = self.rest().await;
            let next = rest.wakes_at.filter(|next| rest.waiting > rest.stuck && *next <= end);
            match next {
                Some(next) => self.advance_to(next),
                None if rest.waiting == rest.stuck => return rest,
                None => {
                    self.advance_to(end);
                    return self.rest().await;
                }
            }
        }
    }

    fn advance_to(&self, at: i64) {
        self.clock.advance(Duration::from_millis(u64::try_from(at - self.clock.now()).unwrap_or_default()));
    }
}

/// A change; those of the same content have the same cursor.
pub(crate) fn change(sequence: u64, reservation: &str, content: &str) -> Change {
    let line = json!({"cursor": format!("{sequence}-0/1~{content}"), "id": format!("{sequence}-0"), "change": 1,
        "kind": "confirm", "at": "2026-11-30T00:00:00Z", "sale": SALE, "state": "confirmed",
        "reservation": reservation});
    Change::parse(&line.to_string()).unwrap()
}

/// Nothing in TLS is talked to here.
fn tls() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// What an operator's command does, beside the relay.
pub(crate) fn beside(state_dir: &Path) -> relay::webhook::outbox::Outbox {
    relay::webhook::outbox::Outbox::open_beside(state_dir).unwrap()
}
