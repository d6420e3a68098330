//! Sends what is in the outbox: in order per reservation, some requests at once, as circuit and schedule allow.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::sink::SinkError;
use crate::status::{Cause, Status};
use crate::webhook::circuit::Circuit;
use crate::webhook::clock::{Clock, millis};
use crate::webhook::outbox::{Counts, Due, Outbox, OutboxError, Outcome, SharedOutbox};
use crate::webhook::schedule::{DELAY_MAX, next_attempt};
use crate::webhook::sender::{Answer, Sender};
use crate::webhook::signature::SecretFile;

/// Between two looks at the secret file, at the lease and for what `relay retry` has changed.
const LOOK: Duration = Duration::from_secs(1);

/// Everything that sending needs.
pub(super) struct Dispatcher {
    pub(super) outbox: SharedOutbox,
    pub(super) sender: Sender,
    pub(super) secrets: SecretFile,
    pub(super) clock: Clock,
    pub(super) status: Arc<Status>,
    /// At most so many requests at once; half of them for webhooks that have failed before.
    pub(super) concurrency: usize,
    pub(super) signals: Arc<Signals>,
    pub(super) rest: watch::Sender<Rest>,
}

/// What the sink tells its dispatcher.
#[derive(Default)]
pub(super) struct Signals {
    /// There is more in the outbox.
    pub(super) more: Notify,
    /// It is to end.
    pub(super) end: AtomicBool,
}

/// What the dispatcher waits for when it has nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest {
    /// Requests that are not answered yet.
    pub in_flight: usize,
    /// Webhooks that are not delivered.
    pub waiting: u64,
    /// Those of them that wait for an operator: dead letters and what is behind them.
    pub stuck: u64,
    /// The receiver answered 410, and an operator has not resumed yet.
    pub is_gone: bool,
    /// Whether the circuit is open: the receiver seems to be down as a whole.
    pub is_open: bool,
    /// When it wakes by itself.
    pub wakes_at: Option<i64>,
    /// How often it has looked for something to send.
    pub looks: u64,
}

/// An answered request.
type Answered = (Due, Answer);

/// What is known only while it runs.
struct Run {
    flights: JoinSet<Answered>,
    /// The reservations in flight, and whether their webhook had failed before.
    in_flight: HashMap<String, bool>,
    circuit: Circuit,
    /// The receiver answered 410.
    is_gone: bool,
    foreign_writes: i64,
}

impl Dispatcher {
    /// Sends until it is to end, and waits then for what is in flight.
    pub(super) async fn run(self) {
        if let Err(error) = self.work().await {
            tracing::error!("no more webhooks are sent: {error}");
        }
    }

    async fn work(mut self) -> Result<(), SinkError> {
        let mut run = Run {
            flights: JoinSet::new(),
            in_flight: HashMap::new(),
            circuit: Circuit::new(self.concurrency),
            is_gone: false,
            foreign_writes: 0,
        };
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Before anything is sent: the receiver may have answered 410 to the process before.
        self.look_around(&mut run).await?;
        loop {
            let wakes_at = self.start(&mut run).await?;
            if self.signals.end.load(Relaxed) && run.flights.is_empty() {
                return Ok(());
            }
            let wake = async {
                match wakes_at {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(answered) = run.flights.join_next() => self.finish(&mut run, answered).await?,
                () = self.signals.more.notified() => {}
                () = wake => {}
                _ = look.tick() => self.look_around(&mut run).await?,
            }
        }
    }

    /// Starts what may be sent now; returns when something else is due.
    async fn start(&mut self, run: &mut Run) -> Result<Option<i64>, SinkError> {
        let now = self.clock.now();
        let in_flight = run.in_flight.len();
        let is_idle = run.is_gone || self.signals.end.load(Relaxed) || !self.status.has_lease.load(Relaxed);
        let free = if is_idle { 0 } else { self.concurrency - in_flight };
        let free = run.circuit.allows(now, free, in_flight);
        let busy: Vec<String> = run.in_flight.keys().cloned().collect();
        let is_open = run.circuit.probes_at().is_some();
        let failed_in_flight = run.in_flight.values().filter(|has_failed| **has_failed).count();
        let failed_max = (self.concurrency / 2).saturating_sub(failed_in_flight).min(free);
        // Neighbours may fail for the same reason: after a failure it goes on somewhere else.
        let place = if run.circuit.has_failures() { fastrand::f64() } else { 0.0 };
        let probe_at = fastrand::f64();
        let (due, next_due, counts) = self
            .persist(move |outbox| {
                let due = match is_open {
                    true if free == 0 => Vec::new(),
                    true => outbox.probe(now, probe_at)?.into_iter().collect(),
                    false => {
                        let mut due = outbox.failed(now, &busy, failed_max)?;
                        due.append(&mut outbox.fresh(place, &busy, free - due.len())?);
                        due
                    }
                };
                Ok((due, outbox.next_due(now)?, outbox.counts()?))
            })
            .await?;
        for webhook in due {
            run.in_flight.insert(webhook.reservation.clone(), webhook.attempts > 0);
            let signature = self.secrets.secrets().sign(&webhook.id, now.div_euclid(1000), &webhook.body);
            let sender = self.sender.clone();
            run.flights.spawn(async move {
                let answer = sender.send(&webhook, &signature, now).await;
                (webhook, answer)
            });
        }
        self.report(&counts);
        let wakes_at = match run.circuit.probes_at() {
            Some(probe) if probe > now => Some(probe),
            _ => next_due,
        };
        self.rest.send_modify(|rest| {
            *rest = Rest {
                in_flight: run.in_flight.len(),
                waiting: counts.waiting,
                stuck: counts.stuck,
                is_gone: run.is_gone,
                is_open,
                wakes_at,
                looks: rest.looks + 1,
            };
        });
        Ok(wakes_at)
    }

    /// What waits here is a trouble of the relay that delivers: without the lease another one does.
    fn report(&self, counts: &Counts) {
        let none = Counts::default();
        let counts = if self.status.has_lease.load(Relaxed) { counts } else { &none };
        self.status.parked.store(counts.parked, Relaxed);
        self.status.dead.store(counts.dead, Relaxed);
        let oldest = counts.oldest.as_ref().and_then(|at| at.parse::<Timestamp>().ok());
        self.status.set_undelivered(counts.waiting, oldest);
    }

    /// Takes all answers that have come, and writes them down at once.
    async fn finish(
        &mut self,
        run: &mut Run,
        first: Result<Answered, tokio::task::JoinError>,
    ) -> Result<(), SinkError> {
        let mut answered = vec![first];
        while let Some(next) = run.flights.try_join_next() {
            answered.push(next);
        }
        let now = self.clock.now();
        let was_gone = run.is_gone;
        let mut outcomes = Vec::new();
        for ended in answered {
            let (webhook, answer) =
                ended.map_err(|panic| SinkError::Transient(format!("sending a webhook: {panic}")))?;
            run.in_flight.remove(&webhook.reservation);
            let outcome = self.judge(run, &webhook, answer, now);
            outcomes.push((webhook, outcome));
        }
        let is_change =
            |(webhook, outcome): &&(Due, Outcome)| *outcome == Outcome::Delivered && !webhook.takes_back;
        let delivered = outcomes.iter().filter(is_change).count() as u64;
        let gone_url = (run.is_gone && !was_gone).then(|| self.sender.identity());
        let outcomes = Arc::new(outcomes);
        self.persist(move |outbox| {
            if let Some(url) = &gone_url {
                outbox.note_gone(url)?;
            }
            outbox.record(&outcomes, now)
        })
        .await?;
        self.status.delivered.fetch_add(delivered, Relaxed);
        Ok(())
    }

    /// Does something with the outbox until it works, or the end is asked for: a full disk may have room again.
    async fn persist<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Outbox) -> Result<T, OutboxError> + Clone + Send + 'static,
    ) -> Result<T, SinkError> {
        let mut logged = String::new();
        loop {
            match self.outbox.with(work.clone()).await {
                // What was not written down is sent again by the next process.
                Err(SinkError::Transient(error)) if !self.signals.end.load(Relaxed) => {
                    if error != logged {
                        tracing::error!("{error}; trying again");
                        logged = error;
                    }
                    tokio::time::sleep(LOOK).await;
                }
                done => return done,
            }
        }
    }

    /// What an answer means for the webhook and for the receiver.
    fn judge(&self, run: &mut Run, webhook: &Due, answer: Answer, now: i64) -> Outcome {
        let random = fastrand::f64();
        let (error, retry_after, is_refusal) = match answer {
            Answer::Delivered => {
                if run.circuit.probes_at().is_some() {
                    tracing::info!("the receiver takes webhooks again");
                }
                run.circuit.succeeded();
                return Outcome::Delivered;
            }
            Answer::Gone => {
                run.is_gone = true;
                tracing::error!(
                    url = self.sender.shown_url(),
                    "the receiver answered 410 Gone: it gets no more webhooks until `relay retry --all`, or another --webhook"
                );
                ("410 Gone".to_owned(), None, false)
            }
            Answer::Failed { error, retry_after, is_throttled, is_refusal } => {
                if is_throttled {
                    run.circuit.throttled(now, retry_after);
                }
                if is_refusal {
                    run.circuit.succeeded();
                }
                (error, retry_after, is_refusal)
            }
        };
        self.status.count_failure(Cause::Receiver);
        let was_open = run.circuit.probes_at().is_some();
        if !is_refusal {
            run.circuit.failed(&webhook.reservation, now, random);
        }
        if !was_open && run.circuit.probes_at().is_some() {
            tracing::warn!(%error, "the receiver takes no webhooks: it gets a probe now and then until it does");
        }
        let attempts = webhook.attempts + 1;
        let next = next_attempt(attempts, retry_after, now, fastrand::f64());
        let (id, reservation) = (&webhook.id, &webhook.reservation);
        match next {
            None => {
                tracing::error!(id, reservation, attempts, %error, "dead letter: `relay retry` sends it again")
            }
            Some(_) if attempts == 1 => tracing::warn!(id, reservation, %error, "parked: it is sent again"),
            Some(_) => tracing::debug!(id, reservation, attempts, %error, "failed again"),
        }
        Outcome::Failed { error, next }
    }

    /// What changes without this program: the secret file, and what `relay retry` writes.
    async fn look_around(&mut self, run: &mut Run) -> Result<(), SinkError> {
        self.secrets.reload();
        let url = self.sender.identity();
        let now = self.clock.now();
        run.circuit.bound(now);
        let latest = now + millis(DELAY_MAX);
        let (foreign_writes, is_gone) = self
            .persist(move |outbox| {
                outbox.bound_due(latest)?;
                Ok((outbox.foreign_writes()?, outbox.is_gone(&url)?))
            })
            .await?;
        if foreign_writes != run.foreign_writes {
            run.circuit.probe_now(now);
        }
        (run.foreign_writes, run.is_gone) = (foreign_writes, is_gone);
        Ok(())
    }
}
