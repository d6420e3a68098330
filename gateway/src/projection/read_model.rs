//! The read models of all sales: what this process serves without a call to Redis. Only the
//! consumer and the connections write them.

mod buyers;
mod clock;
mod completeness;
mod draw;
mod drift;
mod faults;
#[cfg(test)]
mod fixture;
mod holds;
mod incarnation;
mod pending;
mod signed_up;
mod standby;
mod sweep_status;
mod totals;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use buyers::Buyers;
pub use clock::Clock;
use completeness::Completeness;
use draw::LocalDraw;
pub use draw::{DrawState, Drawn, Entrants};
pub use drift::Counters;
use faults::LedgerFault;
use holds::Holds;
pub(crate) use incarnation::{INCARNATION, ledger_identity, new_incarnation};
use pending::Pending;
pub(crate) use pending::PendingTap;
use rustc_hash::FxHashMap;
pub use signed_up::SignUpStatus;
pub(crate) use signed_up::{SignedUpBuyers, marks_of};
pub use standby::PlaceNow;
pub(crate) use standby::StandbyQueues;
pub use sweep_status::SweepStatus;
use tokio::sync::{Notify, watch};
pub use totals::StoreTotals;

use crate::domain::catalogue::Catalogue;
use crate::domain::sale::{Availability, Phase, SaleControls};
use crate::domain::signup::SignUpCount;
use crate::domain::stores::StoreLevels;
use crate::projection::acknowledged::AcknowledgementBuffer;
use crate::projection::actions::ActionsInForce;
use crate::projection::tail::Tail;
use crate::store::keys::Keys;
use crate::store::scripts::Scripts;

/// The journal consumer is late, and a reading of Redis's clock is outdated, past this age.
pub const READ_MODEL_AGE_MAX: Duration = Duration::from_secs(1);

/// A new sale is read within this time, also one with many stores.
const SALE_READ_MAX: Duration = Duration::from_secs(2);

/// All sales that this process follows.
#[derive(Default)]
pub struct Sales {
    map: ArcSwap<FxHashMap<String, Arc<Sale>>>,
    /// Listed sales that are not read, and since when; `None` until the list of sales was read.
    unread: ArcSwapOption<HashMap<String, Instant>>,
    /// Wakes the consumers: a round waits for a change that they have not read.
    wake_consumers: Notify,
}

impl Sales {
    /// A sale by its id; `None` while a replaced sale has not been read again.
    pub fn get(&self, id: &str) -> Option<Arc<Sale>> {
        self.map.load().get(id).filter(|sale| !sale.is_replaced()).cloned()
    }

    /// All sales, in no order.
    pub fn all(&self) -> Vec<Arc<Sale>> {
        self.map.load().values().filter(|sale| !sale.is_replaced()).cloned().collect()
    }

    /// Whether a sale that is not followed here may exist.
    pub fn may_exist(&self, id: &str) -> bool {
        let is_unread = self.unread.load().as_ref().is_none_or(|unread| unread.contains_key(id));
        is_unread || self.map.load().contains_key(id)
    }

    /// Whether the list of sales was read at least once.
    pub fn is_listed(&self) -> bool {
        self.unread.load().is_some()
    }

    /// Listed sales that are not read for longer than a large definition takes.
    pub fn unread(&self, now: Instant) -> Vec<String> {
        let unread = self.unread.load();
        let is_late = |since: Instant| now.saturating_duration_since(since) >= SALE_READ_MAX;
        let late = unread.iter().flat_map(|unread| unread.iter()).filter(|(_, since)| is_late(**since));
        late.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn set_unread(&self, ids: HashSet<String>, now: Instant) {
        let before = self.unread.load_full().unwrap_or_default();
        let unread = ids.into_iter().map(|id| {
            let since = before.get(&id).copied().unwrap_or(now);
            (id, since)
        });
        self.unread.store(Some(Arc::new(unread.collect())));
    }

    /// Adds a sale.
    pub fn insert(&self, sale: Arc<Sale>) {
        self.map.rcu(|map| {
            let mut map = FxHashMap::clone(map);
            map.insert(sale.id.clone(), sale.clone());
            map
        });
    }
}

/// One sale as this process sees it.
pub struct Sale {
    /// Its id.
    pub id: String,
    /// Its keys in Redis.
    pub keys: Keys,
    incarnation: Box<str>,
    /// The latest state, at one sequence.
    read_model: ArcSwap<ReadModel>,
    /// Buyers with any reservation.
    buyers: Buyers,
    signed_up: ArcSwap<SignedUpBuyers>,
    standby: ArcSwap<StandbyQueues>,
    holds: Holds,
    draw: LocalDraw,
    pending: Pending,
    /// The highest sequence that this process may have acknowledged.
    known_sequence: AtomicU64,
    /// When the read model was last complete.
    complete_at: Mutex<Option<Instant>>,
    /// As of when it may refuse.
    completeness: Completeness,
    since: Instant,
    clock: ArcSwapOption<Clock>,
    /// Why the ledger refuses this sale.
    fault: ArcSwapOption<LedgerFault>,
    /// Why its journal can't be followed.
    consumer_fault: ArcSwapOption<String>,
    /// Bits of `faults.rs`: read with every tap.
    faults: AtomicU8,
    revision: watch::Sender<u64>,
    /// Live counters at a sequence that the consumer has not reached.
    counters: Mutex<Option<Counters>>,
    /// The differences between the live counters and the journal.
    drift: ArcSwapOption<String>,
    sweep_status: SweepStatus,
    /// The latest changes, for observability.
    tail: Mutex<Tail>,
    /// What a recovery may need.
    acknowledged: Mutex<AcknowledgementBuffer>,
}

/// A sale at one sequence.
#[derive(Debug, Clone)]
pub struct ReadModel {
    /// The definition, indexed.
    pub catalogue: Arc<Catalogue>,
    /// The sequence of this state.
    pub sequence: u64,
    /// Paused, frozen, closed; opening and closing.
    pub controls: SaleControls,
    /// Who paused, froze or closed it.
    pub actions: ActionsInForce,
    /// The grace in ms.
    pub grace_ms: i64,
    /// Free stock of every item, by index. Items without a limit count below 0.
    pub free: Vec<i64>,
    /// Total of every limited item, by index. Shared, since it rarely changes.
    pub totals: Arc<[Option<i64>]>,
    /// The levels of the stores that follow from both. Shared, since most changes leave them.
    pub stores: Arc<StoreLevels>,
    /// Reservations by state: held, confirmed, cancelled, expired.
    pub counts: [u64; 4],
    /// Units of every model that are set aside for buyers who wait, by index; empty without standby queues.
    pub aside: Vec<i64>,
    /// How many buyers are signed up.
    pub sign_ups: SignUpCount,
    /// The draw; `None`: the sale has none. Shared, since it rarely changes.
    pub draw: Option<Arc<DrawState>>,
    /// To how many entrants something was allocated, or nothing could be.
    pub allocated: u64,
    /// Confirmed count of each model and package, by index.
    pub confirmed: Vec<i64>,
    /// Whether any model is left: every tap needs it, and there may be many models.
    pub(crate) models_left: bool,
}

impl ReadModel {
    /// The stock level that buyers see of the item at this index.
    pub fn availability(&self, place: usize) -> Availability {
        Availability::of(self.totals[place], self.free[place])
    }

    /// The phase at this `TIME`.
    pub fn phase(&self, time: i64) -> Phase {
        self.controls.phase(time, self.models_left)
    }

    /// The levels of all stores, from the stock and the total of every item by index.
    pub(crate) fn store_levels(
        catalogue: &Catalogue,
        totals: &[Option<i64>],
        free: &[i64],
    ) -> Arc<StoreLevels> {
        let first = catalogue.first_store();
        let level = |store| Availability::of(totals[first + store], free[first + store]);
        StoreLevels::new(catalogue.stores(), level).into()
    }

    /// Sets the free stock of the item at this index.
    pub(crate) fn set_free(&mut self, place: usize, free: i64) {
        self.free[place] = free;
        self.note_level(place);
    }

    /// Sets the total of the item at this index.
    pub(crate) fn set_total(&mut self, place: usize, total: i64) {
        Arc::make_mut(&mut self.totals)[place] = Some(total);
        self.note_level(place);
    }

    fn note_level(&mut self, place: usize) {
        let Some(store) = self.catalogue.store_of(place) else { return };
        let level = self.availability(place);
        if self.stores.of(store) != level {
            Arc::make_mut(&mut self.stores).set(self.catalogue.stores(), store, level);
        }
    }

    /// Computes the derived fields.
    fn with_derived_fields(mut self) -> Self {
        let mut models = 0..self.catalogue.definition.models.len();
        self.models_left = models.any(|place| self.availability(place) != Availability::SoldOut);
        self
    }
}

impl Sale {
    pub(crate) fn new(
        id: &str,
        incarnation: &str,
        read_model: ReadModel,
        buyers: impl IntoIterator<Item = u64>,
        signed_up: SignedUpBuyers,
        standby: StandbyQueues,
    ) -> Self {
        let revision = watch::Sender::new(read_model.catalogue.revision);
        Self {
            id: id.to_owned(),
            keys: Keys::of(id),
            incarnation: incarnation.into(),
            known_sequence: AtomicU64::new(0),
            read_model: ArcSwap::from_pointee(read_model.with_derived_fields()),
            buyers: Buyers::of(buyers),
            signed_up: ArcSwap::from_pointee(signed_up),
            standby: ArcSwap::from_pointee(standby),
            holds: Holds::default(),
            draw: LocalDraw::default(),
            pending: Pending::default(),
            complete_at: Mutex::default(),
            completeness: Completeness::default(),
            since: Instant::now(),
            clock: ArcSwapOption::empty(),
            fault: ArcSwapOption::empty(),
            consumer_fault: ArcSwapOption::empty(),
            faults: AtomicU8::new(0),
            revision,
            counters: Mutex::default(),
            drift: ArcSwapOption::empty(),
            sweep_status: SweepStatus::default(),
            tail: Mutex::default(),
            acknowledged: Mutex::default(),
        }
    }

    /// The latest changes.
    pub fn tail(&self) -> Tail {
        lock(&self.tail).clone()
    }

    pub(crate) fn lock_tail(&self) -> MutexGuard<'_, Tail> {
        lock(&self.tail)
    }

    pub(crate) fn acknowledged(&self) -> MutexGuard<'_, AcknowledgementBuffer> {
        lock(&self.acknowledged)
    }

    /// The latest state.
    pub fn read_model(&self) -> Arc<ReadModel> {
        self.read_model.load_full()
    }

    pub(crate) fn set_read_model(&self, read_model: ReadModel) {
        let revision = read_model.catalogue.revision;
        self.read_model.store(Arc::new(read_model.with_derived_fields()));
        self.revision.send_if_modified(|known| std::mem::replace(known, revision) != revision);
    }

    /// Waits until the read model has this revision of the definition or a later one.
    pub(crate) async fn wait_for_revision(&self, revision: u64) {
        // `self` owns the sender, so waiting can't fail.
        let _ = self.revision.subscribe().wait_for(|known| *known >= revision).await;
    }

    /// The highest sequence that may have been acknowledged: an older ledger has lost changes.
    pub fn known_sequence(&self) -> u64 {
        self.known_sequence.load(Ordering::Relaxed)
    }

    /// A sequence that was read counts as acknowledged, unless replicas must acknowledge it first:
    /// it may be lost with the primary, and only responses that waited for replicas acknowledge it.
    pub(crate) fn note_read(&self, sequence: u64, scripts: &Scripts) {
        if !scripts.wait_for_replicas() {
            self.advance_known_sequence(sequence);
        }
    }

    pub(crate) fn advance_known_sequence(&self, sequence: u64) {
        self.known_sequence.fetch_max(sequence, Ordering::Relaxed);
    }

    /// The age of the read model; `None` if it was never complete.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        lock(&self.complete_at).map(|at| now.saturating_duration_since(at))
    }

    /// The age of the read model, or the time since the sale was read.
    pub fn incomplete_for(&self, now: Instant) -> Duration {
        self.age(now).unwrap_or_else(|| now.saturating_duration_since(self.since))
    }

    pub(crate) fn note_complete_at(&self, at: Instant) {
        *lock(&self.complete_at) = Some(at);
        self.forget_expired_taps();
    }

    /// Whether this buyer may have a reservation or a pending tap.
    pub fn may_have_won(&self, buyer: u64) -> bool {
        lock(&self.pending).contains_key(&buyer) || self.buyers.contains(buyer)
    }

    pub(crate) fn add_buyers(&self, buyers: impl IntoIterator<Item = u64>) {
        buyers.into_iter().for_each(|buyer| self.buyers.add(buyer));
    }

    /// The progress of this process's sweeper.
    pub fn tick_status(&self) -> &SweepStatus {
        &self.sweep_status
    }
}

/// A panic under one of these locks leaves plain data behind, which is still valid.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
