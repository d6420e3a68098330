//! The queue of one sale's requests of one kind at one worker, and the loop that decides them in batches.

mod encode;
mod joins;
mod lines;
mod queue;
mod sign_ups;
mod tap;
mod taps;

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "fuzzing")]
use encode::Columns;
use futures_util::future::join;
pub use joins::{JoinCommand, JoinDecision};
use queue::ReserveQueue;
use redis::{ToRedisArgs, Value};
pub use sign_ups::{SignUpCommand, SignUpDecision};
pub use tap::Deadlines;
use tap::Tap;
pub(crate) use tap::{register, wake};
use tokio::time::Instant;

use crate::admit::Admitted;
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::Shed;
#[cfg(feature = "fuzzing")]
use crate::domain::decision::{Decision, ReserveCommand};
use crate::projection::read_model::Sale;
use crate::store::connections::RedisConnections;
use crate::store::dial::Dial;
use crate::store::reply::count_unreadable;
use crate::store::scripts::{Failure, Refusal, Script};
use crate::telemetry::labels::Stage;
use crate::telemetry::record::Recorder;

/// Requests that one script decides together.
pub trait Batched: Sized + 'static {
    /// The one decision of a request.
    type Decision: Clone + 'static;
    /// A batch, encoded for the script; the buffers are reused.
    type Columns: Default;

    /// The script.
    const SCRIPT: Script;
    /// The most requests that one call decides, if the queue's limit is not lower.
    const BATCH_MAX: usize = usize::MAX;

    /// It was certainly not carried out.
    fn not_taken(why: Shed) -> Self::Decision;
    /// It was sent, and there is no answer.
    fn unknown() -> Self::Decision;
    /// Notes that its outcome is unknown.
    fn mark_unknown(&self) {}

    /// Encodes a batch.
    fn fill<'a>(columns: &mut Self::Columns, batch: impl Iterator<Item = &'a Self>, catalogue: &Catalogue);
    /// The arguments of the script for an encoded batch.
    fn args<'a>(
        columns: &'a Self::Columns,
        catalogue: &'a Catalogue,
        identity: &'a str,
        known: u64,
    ) -> impl ToRedisArgs + 'a;
    /// Answers every request of a batch, in order, from the reply of Redis.
    fn deliver(batch: &mut Batch<Self>, reply: &Reply, sale: &Sale);
}

/// Decodes a reply of the reserve script for these taps; `None` if it is not a valid reply.
#[cfg(feature = "fuzzing")]
pub(crate) fn decisions(
    taps: &[ReserveCommand],
    catalogue: &Catalogue,
    reply: &[Value],
) -> Option<Vec<Decision>> {
    let mut columns = Columns::default();
    columns.fill(taps.iter(), catalogue);
    let mut decisions = columns.decisions(reply, catalogue)?;
    Some(taps.iter().map(|command| decisions.next(command.clone())).collect())
}

/// The queue of one sale's requests of one kind at one worker: taps, if nothing else is said.
pub struct QueueHandle<C: Batched = Admitted>(Rc<QueueCloser<C>>);

impl<C: Batched> Clone for QueueHandle<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Closes the queue when its last clone is dropped.
struct QueueCloser<C: Batched>(Rc<ReserveQueue<C>>);

impl<C: Batched> Drop for QueueCloser<C> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Limits of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// The most taps that one script call decides.
    pub batch_max: usize,
    /// The most taps that wait; more are shed.
    pub queue_max: usize,
    /// How long a tap may wait until it is sent; after that it is shed.
    pub delay_max: Duration,
}

impl<C: Batched> QueueHandle<C> {
    /// Starts the loop of a sale on this thread. It ends when the last clone of the queue is
    /// dropped.
    pub fn start<D: Dial>(
        sale: Arc<Sale>,
        connections: Rc<RedisConnections<D>>,
        limits: QueueLimits,
        recorder: Arc<Recorder>,
    ) -> Self {
        let limits = QueueLimits { batch_max: limits.batch_max.min(C::BATCH_MAX), ..limits };
        let queue = Rc::new(ReserveQueue::new(limits, recorder.clone()));
        tokio::task::spawn_local(decide(sale, connections, queue.clone(), recorder, limits.batch_max));
        Self(Rc::new(QueueCloser(queue)))
    }

    /// Queues a request and waits for its decision until the deadline. Dropping this future does not
    /// cancel the request.
    pub fn ask(&self, command: C, deadlines: Deadlines) -> impl Future<Output = C::Decision> + use<C> {
        let (tap, decision) = Tap::new(command, deadlines);
        self.0.0.push(tap);
        decision
    }
}

/// Takes all queued taps, makes one script call, and repeats. Without a timer, a quiet gateway adds
/// no wait and a busy one makes larger batches. The decisions of one batch are delivered while
/// Redis decides the next.
async fn decide<C: Batched, D: Dial>(
    sale: Arc<Sale>,
    connections: Rc<RedisConnections<D>>,
    queue: Rc<ReserveQueue<C>>,
    recorder: Arc<Recorder>,
    batch_max: usize,
) {
    let (mut batch, mut decided) = (Batch::<C>::with_room_for(batch_max), Batch::with_room_for(batch_max));
    loop {
        if queue.is_empty() {
            decided.deliver(&sale);
        }
        if !queue.take(&mut batch.taps).await {
            return;
        }
        let taken = Instant::now();
        send(&sale, &connections, &queue, &recorder, &mut batch, &mut decided).await;
        queue.note_service_time(taken.elapsed());
        decided.deliver(&sale);
        std::mem::swap(&mut batch, &mut decided);
    }
}

/// Requests that are decided together, and Redis's reply to them.
pub struct Batch<C: Batched> {
    taps: Vec<Tap<C>>,
    columns: C::Columns,
    /// `None` until the reply arrives.
    reply: Option<Reply>,
}

/// Redis's reply to a batch.
pub struct Reply {
    values: Vec<Value>,
    /// The catalogue that the batch was encoded with.
    catalogue: Arc<Catalogue>,
    /// The epoch of the Redis that replied.
    epoch: Rc<str>,
}

/// Sends a batch, and waits for its reply. The previous batch is delivered as soon as this one is
/// sent.
async fn send<C: Batched, D: Dial>(
    sale: &Sale,
    connections: &RedisConnections<D>,
    queue: &ReserveQueue<C>,
    recorder: &Recorder,
    batch: &mut Batch<C>,
    decided: &mut Batch<C>,
) {
    let sent = Instant::now();
    batch.taps.iter().for_each(|tap| recorder.stage(Stage::Queue, sent - tap.deadlines.queued));
    let connection = connections.of(&sale.keys);
    let Some(live) = connection.live() else {
        return batch.answer_all(&C::not_taken(Shed::Redis));
    };
    loop {
        let sent = Instant::now();
        batch.shed_late(sent);
        if batch.taps.is_empty() {
            return;
        }
        let catalogue = sale.read_model().catalogue.clone();
        C::fill(&mut batch.columns, batch.taps.iter().map(|tap| &tap.command), &catalogue);
        let identity = sale.ledger_identity(&live.epoch);
        let args = C::args(&batch.columns, &catalogue, &identity, sale.known_sequence());
        let call = connection.call(&live, C::SCRIPT, &sale.keys, args);
        // `join` polls them in this order.
        let work = join(call, async { decided.deliver(sale) });
        let (answer, ()) = answering_late(work, queue, &batch.taps, &C::unknown()).await;
        recorder.batch(batch.taps.len(), sent.elapsed());
        match answer {
            Ok(values) => {
                return batch.reply = Some(Reply { values, catalogue, epoch: live.epoch.clone() });
            }
            Err(Failure::Refused(Refusal::Revision(revision))) if revision > catalogue.revision => {
                // Nothing was decided: the journal will bring the new definition.
                let all_late =
                    batch.taps.iter().map(|tap| tap.deadlines.send).max().unwrap_or_else(Instant::now);
                let reached = tokio::time::timeout_at(all_late, sale.wait_for_revision(revision));
                let _ = answering_late(reached, queue, &batch.taps, &C::not_taken(Shed::Ledger)).await;
            }
            Err(Failure::Unknown(_) | Failure::NotReplicated { .. }) => return batch.mark_unknown(),
            Err(failure @ (Failure::NotDone(_) | Failure::WrongServer(_) | Failure::Refused(_))) => {
                sale.note_refusal(&failure);
                tracing::debug!(sale = sale.id, %failure, taps = batch.taps.len(), "a batch was not decided");
                return batch.answer_all(&C::not_taken(failure.shed()));
            }
        }
    }
}

/// Waits for a future, and meanwhile answers every tap that reaches its deadline: `late` to those
/// of the batch, and "not carried out" to those in the queue.
async fn answering_late<C: Batched, T>(
    work: impl Future<Output = T>,
    queue: &ReserveQueue<C>,
    batch: &[Tap<C>],
    late: &C::Decision,
) -> T {
    let mut work = pin!(work);
    loop {
        let of_batch =
            batch.iter().filter(|tap| !tap.responder.is_answered()).map(|tap| tap.deadlines.answer).min();
        let next = of_batch.map_or(queue.first_deadline(), |first| first.min(queue.first_deadline()));
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep_until(next) => {
                let now = Instant::now();
                batch.iter().filter(|tap| tap.deadlines.answer <= now).for_each(|tap| tap.responder.answer(late.clone()));
                queue.shed_late(now);
            }
        }
    }
}

impl<C: Batched> Batch<C> {
    fn with_room_for(taps: usize) -> Self {
        Self { taps: Vec::with_capacity(taps), columns: C::Columns::default(), reply: None }
    }

    /// A caller whose wait ended was answered "not carried out": it must stay so.
    fn shed_late(&mut self, now: Instant) {
        self.taps.retain(|tap| {
            let in_time = tap.deadlines.send > now;
            if !in_time {
                tap.responder.answer(C::not_taken(Shed::Deadline));
            }
            in_time
        });
    }

    fn answer_all(&mut self, decision: &C::Decision) {
        self.taps.drain(..).for_each(|tap| tap.responder.answer(decision.clone()));
    }

    fn mark_unknown(&mut self) {
        self.taps.iter().for_each(|tap| tap.command.mark_unknown());
        self.answer_all(&C::unknown());
    }

    /// Delivers each decision to its caller, unless that has an answer already.
    fn deliver(&mut self, sale: &Sale) {
        if let Some(reply) = self.reply.take() {
            C::deliver(self, &reply, sale);
        }
    }

    /// Of a reply that can't be read the outcome is unknown.
    fn deliver_unreadable(&mut self, reply: &Reply, sale: &Sale) {
        count_unreadable();
        tracing::error!(sale = sale.id, reply = ?reply.values, "a reply of a script that decides a batch can't be read");
        self.mark_unknown();
    }
}
