//! Delivers changes as webhooks: they are stored in an outbox, and a dispatcher sends them from there.

mod circuit;
pub mod clock;
pub(crate) mod commands;
mod dispatcher;
mod event;
pub mod outbox;
mod schedule;
pub mod sender;
mod signature;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::change::{Change, Page};
use crate::cli::WebhookOptions;
use crate::failure::Failure;
use crate::sink::{Sink, SinkError};
use crate::status::Status;
use clock::Clock;
pub use dispatcher::Rest;
use dispatcher::{Dispatcher, Signals};
use outbox::{Outbox, SharedOutbox};
use sender::{ANSWER_TIMEOUT, Sender};
use signature::SecretFile;

/// Requests at once: one for what is new and one for what failed at least.
pub(crate) const CONCURRENCY: RangeInclusive<usize> = 2..=256;

/// The sink of webhooks.
pub struct Webhooks {
    outbox: SharedOutbox,
    clock: Clock,
    status: Arc<Status>,
    signals: Arc<Signals>,
    rest: watch::Receiver<Rest>,
    dispatcher: JoinHandle<()>,
}

/// What a sink of webhooks is made of.
pub struct WebhookSetup<'a> {
    /// The folder of the outbox.
    pub state_dir: &'a Path,
    /// The secrets of the signatures.
    pub secret_file: &'a Path,
    /// Where they go.
    pub sender: Sender,
    /// How many requests there are at once.
    pub concurrency: usize,
    /// The clock of the schedule.
    pub clock: Clock,
    /// What is counted.
    pub status: Arc<Status>,
}

impl Webhooks {
    /// The sink as the options ask for it.
    pub(crate) fn new(
        url: &str,
        options: &WebhookOptions,
        tls: ClientConfig,
        status: Arc<Status>,
    ) -> Result<Self, Failure> {
        let (Some(secret_file), Some(state_dir)) = (&options.webhook_secret_file, &options.state_dir) else {
            return Err(Failure::Usage("--webhook needs --webhook-secret-file and --state-dir".to_owned()));
        };
        Self::start(WebhookSetup {
            state_dir,
            secret_file,
            sender: Sender::new(url, options.webhook_plain_http, ANSWER_TIMEOUT, tls)?,
            concurrency: options.webhook_concurrency,
            clock: Clock::system(),
            status,
        })
    }

    /// Opens the outbox and begins to send what is in it.
    ///
    /// # Errors
    ///
    /// A file is not usable, or another relay has the folder.
    pub fn start(setup: WebhookSetup<'_>) -> Result<Self, Failure> {
        let WebhookSetup { state_dir, secret_file, sender, concurrency, clock, status } = setup;
        let secrets = SecretFile::load(secret_file).map_err(Failure::Usage)?;
        let outbox = SharedOutbox::new(Outbox::open(state_dir, &status.sale, &status.reader)?);
        let signals = Arc::new(Signals::default());
        let (sender_of_rest, rest) = watch::channel(Rest::default());
        let dispatcher = Dispatcher {
            outbox: outbox.clone(),
            sender,
            secrets,
            clock: clock.clone(),
            status: status.clone(),
            concurrency,
            signals: signals.clone(),
            rest: sender_of_rest,
        };
        let dispatcher = tokio::spawn(dispatcher.run());
        Ok(Self { outbox, clock, status, signals, rest, dispatcher })
    }

    /// What the dispatcher does or waits for.
    pub fn rest(&self) -> watch::Receiver<Rest> {
        self.rest.clone()
    }

    /// Waits until nothing more happens before the clock moves on.
    pub async fn until_it_rests(&mut self) -> Rest {
        self.look().await;
        let clock = self.clock.clone();
        let rests = |rest: &Rest| rest.in_flight == 0 && rest.wakes_at.is_none_or(|at| at > clock.now());
        self.rest.wait_for(rests).await.map_or_else(|_| Rest::default(), |rest| rest.clone())
    }

    /// Waits for a look at the outbox that begins after this call: the first one may be under way.
    async fn look(&mut self) {
        for _ in 0..2 {
            let looks = self.rest.borrow().looks;
            self.signals.more.notify_one();
            // An error: the dispatcher has ended, which the next call reports.
            let _ = self.rest.wait_for(|rest| rest.looks > looks).await;
        }
    }

    fn check_dispatcher(&self) -> Result<(), SinkError> {
        if self.dispatcher.is_finished() {
            let text = "no more webhooks are sent, the log has the reason; start the relay again";
            return Err(SinkError::Fatal(Failure::Outside(text.to_owned())));
        }
        Ok(())
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.dispatcher.abort();
    }
}

impl Sink for Webhooks {
    async fn position(&mut self) -> Result<Option<String>, SinkError> {
        self.check_dispatcher()?;
        self.outbox.with(|outbox| outbox.cursor()).await
    }

    async fn deliver(&mut self, page: &Page, fence: u64) -> Result<(), SinkError> {
        self.check_dispatcher()?;
        let page = page.clone();
        self.outbox.with(move |outbox| outbox.store(&page, fence)).await?;
        self.signals.more.notify_one();
        Ok(())
    }

    async fn last_known(&mut self, changes: &[Change]) -> Result<Option<usize>, SinkError> {
        let changes = changes.to_owned();
        self.outbox.with(move |outbox| outbox.last_known(&changes)).await
    }

    async fn rescind(&mut self, common: &str, fence: u64) -> Result<(), SinkError> {
        let now = Timestamp::from_millisecond(self.clock.now()).unwrap_or_default();
        let common = common.to_owned();
        let rescinded = self.outbox.with(move |outbox| outbox.rescind(&common, fence, now)).await?;
        self.status.rescinded.fetch_add(rescinded, Relaxed);
        self.signals.more.notify_one();
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), SinkError> {
        self.look().await;
        let is_settled = |rest: &Rest| rest.in_flight == 0 && (rest.is_gone || rest.waiting == rest.stuck);
        let settled = self.rest.wait_for(is_settled).await.map(|rest| (rest.waiting, rest.is_gone));
        match settled {
            Err(_) => self.check_dispatcher(),
            Ok((0, _)) => Ok(()),
            Ok((waiting, true)) => Err(SinkError::Fatal(Failure::No(format!(
                "{waiting} webhooks are not delivered: the receiver answered 410 Gone; `relay retry --all` resumes"
            )))),
            Ok((waiting, false)) => Err(SinkError::Fatal(Failure::No(format!(
                "{waiting} webhooks are not delivered and wait for an operator: see `relay parked`, then `relay retry`"
            )))),
        }
    }

    async fn close(&mut self) {
        self.signals.end.store(true, Relaxed);
        self.signals.more.notify_one();
        if !self.dispatcher.is_finished() {
            // Its error is of no use any more; what was not written down is sent again.
            let _ = (&mut self.dispatcher).await;
        }
    }
}
