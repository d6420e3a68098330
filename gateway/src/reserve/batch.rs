//! The queue of one sale's taps at one worker, and the loop that decides them in batches.

mod encode;
mod queue;
mod tap;

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use encode::Columns;
use futures_util::future::join;
use queue::ReserveQueue;
use redis::Value;
pub use tap::Deadlines;
use tap::Tap;
pub(crate) use tap::{register, wake};
use tokio::time::Instant;

use crate::admit::Admitted;
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::Decision;
#[cfg(feature = "fuzzing")]
use crate::domain::decision::ReserveCommand;
use crate::domain::decision::Shed;
use crate::projection::acknowledged::Acknowledged;
use crate::projection::read_model::Sale;
use crate::store::connections::RedisConnections;
use crate::store::dial::Dial;
use crate::store::reply::count_unreadable;
use crate::store::scripts::{Failure, Refusal, Script};
use crate::telemetry::labels::Stage;
use crate::telemetry::record::Recorder;

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

/// The reserve queue of one sale at one worker.
#[derive(Clone)]
pub struct QueueHandle(Rc<QueueCloser>);

/// Closes the queue when its last clone is dropped.
struct QueueCloser(Rc<ReserveQueue>);

impl Drop for QueueCloser {
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

impl QueueHandle {
    /// Starts the loop of a sale on this thread. It ends when the last clone of the queue is
    /// dropped.
    pub fn start<D: Dial>(
        sale: Arc<Sale>,
        connections: Rc<RedisConnections<D>>,
        limits: QueueLimits,
        recorder: Arc<Recorder>,
    ) -> Self {
        let queue = Rc::new(ReserveQueue::new(limits, recorder.clone()));
        tokio::task::spawn_local(decide(sale, connections, queue.clone(), recorder, limits.batch_max));
        Self(Rc::new(QueueCloser(queue)))
    }

    /// Queues a tap and waits for its decision until the deadline. Dropping this future does not
    /// cancel the tap.
    pub fn reserve(
        &self,
        Admitted { command, pending }: Admitted,
        deadlines: Deadlines,
    ) -> impl Future<Output = Decision> + use<> {
        let (tap, decision) = Tap::new(command, pending, deadlines);
        self.0.0.push(tap);
        decision
    }
}

/// Takes all queued taps, makes one script call, and repeats. Without a timer, a quiet gateway adds
/// no wait and a busy one makes larger batches. The decisions of one batch are delivered while
/// Redis decides the next.
async fn decide<D: Dial>(
    sale: Arc<Sale>,
    connections: Rc<RedisConnections<D>>,
    queue: Rc<ReserveQueue>,
    recorder: Arc<Recorder>,
    batch_max: usize,
) {
    let (mut batch, mut decided) = (Batch::with_room_for(batch_max), Batch::with_room_for(batch_max));
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

/// Taps that are decided together, and Redis's reply to them.
struct Batch {
    taps: Vec<Tap>,
    columns: Columns,
    /// `None` until the reply arrives.
    reply: Option<Reply>,
}

/// Redis's reply to a batch.
struct Reply {
    values: Vec<Value>,
    /// The catalogue that the batch was encoded with.
    catalogue: Arc<Catalogue>,
    /// The epoch of the Redis that replied.
    epoch: Rc<str>,
}

/// Sends a batch, and waits for its reply. The previous batch is delivered as soon as this one is
/// sent.
async fn send<D: Dial>(
    sale: &Sale,
    connections: &RedisConnections<D>,
    queue: &ReserveQueue,
    recorder: &Recorder,
    batch: &mut Batch,
    decided: &mut Batch,
) {
    let sent = Instant::now();
    batch.taps.iter().for_each(|tap| recorder.stage(Stage::Queue, sent - tap.deadlines.queued));
    let connection = connections.of(&sale.keys);
    let Some(live) = connection.live() else {
        return batch.answer_all(&Decision::NotTaken(Shed::Redis));
    };
    loop {
        let sent = Instant::now();
        batch.shed_late(sent);
        if batch.taps.is_empty() {
            return;
        }
        let catalogue = sale.read_model().catalogue.clone();
        batch.columns.fill(batch.taps.iter().map(|tap| &tap.command), &catalogue);
        let identity = sale.ledger_identity(&live.epoch);
        let args = batch.columns.args(&catalogue, &identity, sale.known_sequence());
        let call = connection.call(&live, Script::Reserve, &sale.keys, args);
        // `join` polls them in this order.
        let work = join(call, async { decided.deliver(sale) });
        let (answer, ()) = answering_late(work, queue, &batch.taps, &Decision::Unknown).await;
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
                let _ = answering_late(reached, queue, &batch.taps, &Decision::NotTaken(Shed::Ledger)).await;
            }
            Err(Failure::Unknown(_) | Failure::NotReplicated { .. }) => return batch.mark_unknown(),
            Err(failure @ (Failure::NotDone(_) | Failure::WrongServer(_) | Failure::Refused(_))) => {
                sale.note_refusal(&failure);
                tracing::debug!(sale = sale.id, %failure, taps = batch.taps.len(), "a batch was not decided");
                return batch.answer_all(&Decision::NotTaken(failure.shed()));
            }
        }
    }
}

/// Waits for a future, and meanwhile answers every tap that reaches its deadline: `late` to those
/// of the batch, and "not carried out" to those in the queue.
async fn answering_late<T>(
    work: impl Future<Output = T>,
    queue: &ReserveQueue,
    batch: &[Tap],
    late: &Decision,
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

impl Batch {
    fn with_room_for(taps: usize) -> Self {
        Self { taps: Vec::with_capacity(taps), columns: Columns::default(), reply: None }
    }

    /// A caller whose wait ended was answered "not carried out": it must stay so.
    fn shed_late(&mut self, now: Instant) {
        self.taps.retain(|tap| {
            let in_time = tap.deadlines.send > now;
            if !in_time {
                tap.responder.answer(Decision::NotTaken(Shed::Deadline));
            }
            in_time
        });
    }

    fn answer_all(&mut self, decision: &Decision) {
        self.taps.drain(..).for_each(|tap| tap.responder.answer(decision.clone()));
    }

    fn mark_unknown(&mut self) {
        self.taps.iter().for_each(|tap| tap.pending.mark_unknown());
        self.answer_all(&Decision::Unknown);
    }

    /// Delivers each decision to its caller, unless that has an answer already.
    fn deliver(&mut self, sale: &Sale) {
        let Some(Reply { values, catalogue, epoch }) = self.reply.take() else {
            return;
        };
        let Some(mut decisions) = self.columns.decisions(&values, &catalogue) else {
            count_unreadable();
            tracing::error!(sale = sale.id, reply = ?values, "a reply of the reserve script can't be read");
            return self.mark_unknown();
        };
        // The whole batch is buffered at once, before any acknowledgement.
        let (mut winners, mut decided) = (String::new(), Vec::with_capacity(self.taps.len()));
        let (mut depends_on_clocks, mut is_whole) = (false, true);
        let grace = sale.read_model().grace_ms;
        for Tap { request, command, pending, responder, .. } in self.taps.drain(..) {
            let mut decision = decisions.next(command);
            match &decision {
                Decision::Won(reservation, _) => {
                    reservation.write_line(&mut winners);
                    winners.push('\n');
                    pending.mark_won();
                }
                Decision::Closed => depends_on_clocks = true,
                Decision::Replayed(reservation, header) => {
                    pending.mark_won();
                    depends_on_clocks |= reservation.state != reservation.state_at(header.sale_clock, grace);
                    if !sale.acknowledged().acknowledge_shown(&epoch, reservation, header) {
                        decision = Decision::Unknown;
                    }
                }
                Decision::Unknown => {
                    is_whole = false;
                    count_unreadable();
                    let log_unreadable = || {
                        tracing::error!(sale = sale.id, "an answer of the reserve script can't be read");
                    };
                    request.as_ref().map_or_else(log_unreadable, |request| request.enter(log_unreadable));
                    pending.mark_unknown();
                }
                _ => {}
            }
            decided.push((responder, decision));
        }
        let (header, sequence) = (&decisions.header, decisions.header.sequence);
        let may_acknowledge = if winners.is_empty() {
            sale.acknowledged().may_acknowledge(&epoch)
        } else {
            let won = Acknowledged::winners(sequence, header, winners, is_whole);
            sale.acknowledged().acknowledge(&epoch, won)
        };
        if depends_on_clocks && may_acknowledge {
            sale.acknowledged().note_late_by(header);
        }
        for (responder, decision) in decided {
            responder.answer(match decision {
                decision if may_acknowledge => decision,
                Decision::Won(..) | Decision::Replayed(..) | Decision::Unknown => Decision::Unknown,
                _ => Decision::NotTaken(Shed::Ledger),
            });
        }
        // Only now: a client that learns the sequence must find the winners marked as such.
        if may_acknowledge {
            sale.advance_known_sequence(sequence);
        }
    }
}
