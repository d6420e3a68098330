//! The queue of one sale's taps at one worker, and the loop that decides them in batches.

mod encode;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use encode::Columns;
use redis::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::dial::Dial;
use super::lane::Lane;
use super::memory::{PendingTap, Sale};
use super::scripts::{Failure, Header, Refusal, Script};
use crate::admit::Admitted;
use crate::domain::catalogue::Catalogue;
use crate::domain::reservation::Reservation;

/// What a buyer asks for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Derived from sale, buyer and key.
    pub id: String,
    /// The buyer.
    pub sub: Arc<str>,
    /// Of the request.
    pub fingerprint: String,
    /// The model's id.
    pub model: String,
    /// The packages' ids, none twice.
    pub packages: Vec<String>,
    /// The store's id.
    pub store: String,
    /// Packages and store may be left off.
    pub accept_partial: bool,
}

/// The one answer to a tap. "No" is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A new hold.
    Won(Box<Reservation>, Header),
    /// The same reservation again, as it stands.
    Replayed(Box<Reservation>, Header),
    /// The key was used with another body.
    KeyReused,
    /// The sale has closed.
    Closed,
    /// The sale is not open yet; Redis's `TIME` in ms.
    NotOpen(i64),
    /// A lever stopped new reservations.
    Paused,
    /// These items do not exist or do not fit.
    UnknownItem(Vec<String>),
    /// The buyer has these already.
    PurchaseLimit(Vec<String>),
    /// These items are gone; final when no hold is outstanding.
    SoldOut {
        /// Which.
        items: Vec<String>,
        /// Nothing can come back by itself.
        is_final: bool,
    },
    /// Certainly not taken.
    NotTaken,
    /// Sent to Redis, and no answer came.
    Unknown,
}

/// How far a tap has come; its caller and the loop both look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Sent,
    Abandoned,
}

struct Tap {
    wanted: Wanted,
    pending: PendingTap,
    deadline: Instant,
    stage: Rc<Cell<Stage>>,
    answer: oneshot::Sender<Decision>,
}

/// Where the taps of one sale queue at one worker.
#[derive(Clone)]
pub struct Queue {
    taps: mpsc::Sender<Tap>,
}

/// Limits of a queue.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Taps that one script call decides, at most.
    pub batch_max: usize,
    /// Taps that wait, at most; more are told to come back.
    pub queue_max: usize,
}

impl Queue {
    /// Starts the loop of a sale on this thread. It ends when the last clone of the queue is dropped.
    #[must_use]
    pub fn start<D: Dial>(sale: Arc<Sale>, lane: Rc<Lane<D>>, limits: QueueLimits) -> Self {
        let (taps, waiting) = mpsc::channel(limits.queue_max);
        tokio::task::spawn_local(decide(sale, lane, waiting, limits.batch_max));
        Self { taps }
    }

    /// Queues a tap and waits for its decision until the deadline. The tap outlives its caller: if
    /// this future is dropped, it is decided all the same.
    pub async fn reserve(&self, Admitted { wanted, pending }: Admitted, deadline: Instant) -> Decision {
        let (answer, decision) = oneshot::channel();
        let stage = Rc::new(Cell::new(Stage::Queued));
        let tap = Tap { wanted, pending, deadline, stage: stage.clone(), answer };
        if self.taps.try_send(tap).is_err() {
            return Decision::NotTaken;
        }
        match tokio::time::timeout_at(deadline, decision).await {
            Ok(Ok(decision)) => decision,
            // The loop never drops a tap without an answer, unless its thread is ended.
            Ok(Err(_)) | Err(_) => match stage.replace(Stage::Abandoned) {
                Stage::Sent => Decision::Unknown,
                Stage::Queued | Stage::Abandoned => Decision::NotTaken,
            },
        }
    }
}

/// Takes all that has queued, makes one script call, fans the answers out, takes what has queued
/// meanwhile. No timer: a quiet gateway adds no wait, a busy one has larger batches.
async fn decide<D: Dial>(
    sale: Arc<Sale>,
    lane: Rc<Lane<D>>,
    mut waiting: mpsc::Receiver<Tap>,
    batch_max: usize,
) {
    let (mut batch, mut columns) = (Vec::with_capacity(batch_max), Columns::default());
    while waiting.recv_many(&mut batch, batch_max).await > 0 {
        send(&sale, &lane, &mut batch, &mut columns).await;
        batch.clear();
    }
}

async fn send<D: Dial>(sale: &Sale, lane: &Lane<D>, batch: &mut Vec<Tap>, columns: &mut Columns) {
    let Some(live) = lane.live() else {
        return answer_all(batch, &Decision::NotTaken);
    };
    loop {
        // A caller that stopped waiting was told that nothing was taken: it must stay so.
        batch.retain(|tap| tap.stage.get() == Stage::Queued && Instant::now() < tap.deadline);
        if batch.is_empty() {
            return;
        }
        let memory = sale.memory();
        columns.fill(batch.iter().map(|tap| &tap.wanted), &memory.catalogue);
        let args = columns.args(&memory.catalogue, &live.run_id, sale.known());
        batch.iter().for_each(|tap| tap.stage.set(Stage::Sent));
        match lane.call(&live, Script::Reserve, &sale.keys, args).await {
            Ok(reply) => return answer_each(sale, batch, columns, &memory.catalogue, &reply),
            Err(Failure::Refused(Refusal::Revision(revision))) if revision > memory.catalogue.revision => {
                // Nothing was decided. The definition is on its way to us through the journal.
                batch.iter().for_each(|tap| tap.stage.set(Stage::Queued));
                let first_deadline = batch.iter().map(|tap| tap.deadline).min().unwrap_or_else(Instant::now);
                if tokio::time::timeout_at(first_deadline, sale.revision_reached(revision)).await.is_err() {
                    return answer_all(batch, &Decision::NotTaken);
                }
            }
            Err(Failure::Unknown(_)) => {
                batch.iter().for_each(|tap| tap.pending.unknown());
                return answer_all(batch, &Decision::Unknown);
            }
            Err(failure @ (Failure::NotDone(_) | Failure::Refused(_))) => {
                tracing::debug!(sale = sale.id, %failure, taps = batch.len(), "a batch was not taken");
                return answer_all(batch, &Decision::NotTaken);
            }
        }
    }
}

fn answer_all(batch: &mut Vec<Tap>, decision: &Decision) {
    for tap in batch.drain(..) {
        // A caller that is gone does not hear it; the ledger has it.
        let _ = tap.answer.send(decision.clone());
    }
}

fn answer_each(sale: &Sale, batch: &mut Vec<Tap>, columns: &Columns, catalogue: &Catalogue, reply: &[Value]) {
    let Some(mut decisions) = columns.decisions(reply, catalogue) else {
        tracing::error!(sale = sale.id, ?reply, "a reply of the reserve script can't be read");
        batch.iter().for_each(|tap| tap.pending.unknown());
        return answer_all(batch, &Decision::Unknown);
    };
    for tap in batch.drain(..) {
        let decision = decisions.next(tap.wanted);
        match decision {
            Decision::Won(..) | Decision::Replayed(..) => tap.pending.won(),
            Decision::Unknown => {
                tracing::error!(sale = sale.id, "an answer of the reserve script can't be read");
                tap.pending.unknown();
            }
            _ => {}
        }
        let _ = tap.answer.send(decision);
    }
    // Only now: whoever learns the sequence must find the winners known as such.
    sale.saw(decisions.header.sequence);
}
