//! What this process knows of each sale without asking Redis. Written by the consumer and the connections only.

mod buyers;
mod completeness;
mod drift;
#[cfg(test)]
mod fixture;
mod incarnation;
mod pending;
mod sweep_status;
mod totals;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use buyers::Buyers;
use completeness::Completeness;
pub(crate) use drift::Counters;
pub(crate) use incarnation::{INCARNATION, identity, new_incarnation};
use pending::Pending;
pub(crate) use pending::PendingTap;
use rustc_hash::FxHashMap;
pub use sweep_status::SweepStatus;
use tokio::sync::{Notify, watch};
pub use totals::StoreTotals;

use crate::domain::catalogue::Catalogue;
use crate::domain::decision::Header;
use crate::domain::sale::{Availability, Phase, SaleControls};
use crate::projection::acknowledged::AcknowledgementBuffer;
use crate::projection::tail::Tail;
use crate::store::journal::Entry;
use crate::store::keys::Keys;
use crate::store::scripts::Scripts;

/// The journal consumer is late past this, and a reading of Redis's clock is not used any more.
pub const READ_MODEL_AGE_MAX: Duration = Duration::from_secs(1);

/// What keeps memory from deciding: the ledger refuses the sale, or its journal can't be followed.
const LEDGER_FAULT: u8 = 1;
const CONSUMER_FAULT: u8 = 2;
/// Or the ledger has a later incarnation of it.
const REPLACED: u8 = 4;

/// All sales that this process knows.
#[derive(Default)]
pub struct Sales {
    map: ArcSwap<FxHashMap<String, Arc<Sale>>>,
    /// Sales that are there and could not be read; `None` until the list of sales was read.
    unread: ArcSwapOption<HashSet<String>>,
    /// A round waits for a change that the journal consumer has not read.
    wake_consumers: Notify,
}

impl Sales {
    /// A sale by its id; not one that was replaced and has yet to be read anew.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Sale>> {
        self.map.load().get(id).filter(|sale| !sale.is_replaced()).cloned()
    }

    /// All of them, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Sale>> {
        self.map.load().values().filter(|sale| !sale.is_replaced()).cloned().collect()
    }

    /// Whether there may be such a sale although it is not known here.
    #[must_use]
    pub fn may_exist(&self, id: &str) -> bool {
        let is_unread = self.unread.load().as_ref().is_none_or(|unread| unread.contains(id));
        is_unread || self.map.load().contains_key(id)
    }

    /// Sales that are there and could not be read.
    #[must_use]
    pub fn unread(&self) -> Vec<String> {
        let unread = self.unread.load();
        unread.iter().flat_map(|ids| ids.iter().cloned()).collect()
    }

    pub(crate) fn set_unread(&self, unread: HashSet<String>) {
        self.unread.store(Some(Arc::new(unread)));
    }

    /// Adds a sale, as the consumer does.
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
    pending: Pending,
    /// The highest sequence that this process may have told somebody of.
    known_sequence: AtomicU64,
    /// When memory was last complete, in microseconds after `since`; 0: never yet.
    complete_at_us: AtomicU64,
    /// As of when it may refuse.
    completeness: Completeness,
    since: Instant,
    clock: ArcSwapOption<Clock>,
    /// Why the ledger refuses this sale, in words.
    fault: ArcSwapOption<String>,
    /// Why its journal can't be followed, in words.
    consumer_fault: ArcSwapOption<String>,
    /// [`LEDGER_FAULT`], [`CONSUMER_FAULT`] and [`REPLACED`], whichever there is: looked at with every tap.
    faults: AtomicU8,
    revision: watch::Sender<u64>,
    /// Live counters that the consumer has not come to yet.
    counters: Mutex<Option<Counters>>,
    /// Where the live counters differ from what the journal says, in words.
    drift: ArcSwapOption<String>,
    sweep_status: SweepStatus,
    /// The latest changes, for those who watch.
    tail: Mutex<Tail>,
    /// What Redis may lose.
    acknowledged: Mutex<AcknowledgementBuffer>,
}

/// What a sale was at one sequence.
#[derive(Debug, Clone)]
pub struct ReadModel {
    /// The definition, indexed.
    pub catalogue: Arc<Catalogue>,
    /// The change up to which all this is true.
    pub sequence: u64,
    /// Paused, frozen, closed; opening and closing.
    pub controls: SaleControls,
    /// ms
    pub grace_ms: i64,
    /// What is left of every item, by its place. Below 0 for items without a limit.
    pub free: Vec<i64>,
    /// The total of every item with a limit, by its place. Shared: unlike what is left, it hardly ever changes.
    pub totals: Arc<[Option<i64>]>,
    /// Reservations by state: held, confirmed, cancelled, expired.
    pub counts: [u64; 4],
    /// What is confirmed of each model and package, by its place.
    pub confirmed: Vec<i64>,
    /// Whether any model can be had: asked with every tap, and there may be many models.
    pub(crate) models_left: bool,
}

impl ReadModel {
    /// How much is left of the item at this place, as told to buyers.
    #[must_use]
    pub fn availability(&self, place: usize) -> Availability {
        Availability::of(self.totals[place], self.free[place])
    }

    /// The phase at this `TIME`.
    #[must_use]
    pub fn phase(&self, time: i64) -> Phase {
        self.controls.phase(time, self.models_left)
    }

    /// Works out what follows from the rest.
    fn with_derived_fields(mut self) -> Self {
        let mut models = 0..self.catalogue.definition.models.len();
        self.models_left = models.any(|place| self.availability(place) != Availability::SoldOut);
        self
    }
}

/// Redis's clock as last read, and how far off the reading may be.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    time: i64,
    at: Instant,
    error_ms: i64,
}

impl Sale {
    pub(crate) fn new(
        id: &str,
        incarnation: &str,
        read_model: ReadModel,
        buyers: impl IntoIterator<Item = u64>,
    ) -> Self {
        let revision = watch::Sender::new(read_model.catalogue.revision);
        Self {
            id: id.to_owned(),
            keys: Keys::of(id),
            incarnation: incarnation.into(),
            known_sequence: AtomicU64::new(0),
            read_model: ArcSwap::from_pointee(read_model.with_derived_fields()),
            buyers: Buyers::of(buyers),
            pending: Pending::default(),
            complete_at_us: AtomicU64::new(0),
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
    #[must_use]
    pub fn tail(&self) -> Tail {
        lock(&self.tail).clone()
    }

    pub(crate) fn note_change(&self, entry: &Entry) {
        lock(&self.tail).note(entry);
    }

    pub(crate) fn set_tail(&self, tail: Tail) {
        *lock(&self.tail) = tail;
    }

    pub(crate) fn acknowledged(&self) -> MutexGuard<'_, AcknowledgementBuffer> {
        lock(&self.acknowledged)
    }

    /// The latest state.
    #[must_use]
    pub fn read_model(&self) -> Arc<ReadModel> {
        self.read_model.load_full()
    }

    pub(crate) fn set_read_model(&self, read_model: ReadModel) {
        let revision = read_model.catalogue.revision;
        self.read_model.store(Arc::new(read_model.with_derived_fields()));
        self.revision.send_if_modified(|known| std::mem::replace(known, revision) != revision);
    }

    /// Waits until this process knows this revision of the definition or a later one.
    pub(crate) async fn wait_for_revision(&self, revision: u64) {
        // The sender lives as long as `self`, so waiting can't fail.
        let _ = self.revision.subscribe().wait_for(|known| *known >= revision).await;
    }

    /// The highest sequence that may have been told to somebody: no ledger may be older.
    #[must_use]
    pub fn known_sequence(&self) -> u64 {
        self.known_sequence.load(Ordering::Relaxed)
    }

    /// What was read counts as told, unless replicas must have it first: then it may be lost with the primary, and nobody has
    /// been told that it is so but by an answer that waited for them.
    pub(crate) fn note_read(&self, sequence: u64, scripts: &Scripts) {
        if !scripts.wait_for_replicas() {
            self.advance_known_sequence(sequence);
        }
    }

    pub(crate) fn advance_known_sequence(&self, sequence: u64) {
        self.known_sequence.fetch_max(sequence, Ordering::Relaxed);
    }

    /// How old memory is; `None` if it was never complete.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        let at = self.complete_at_us.load(Ordering::Relaxed);
        (at > 0).then(|| now.saturating_duration_since(self.since + Duration::from_micros(at)))
    }

    /// Since when memory is not known to be complete: its age, or the time since the sale was read.
    #[must_use]
    pub fn incomplete_for(&self, now: Instant) -> Duration {
        self.age(now).unwrap_or_else(|| now.saturating_duration_since(self.since))
    }

    pub(crate) fn note_complete_at(&self, at: Instant) {
        let at = at.saturating_duration_since(self.since).as_micros();
        self.complete_at_us.store(u64::try_from(at).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
        self.pending.forget_expired();
    }

    /// Whether this buyer may have a reservation, or a tap on the way to one, as far as is known here.
    #[must_use]
    pub fn may_have_won(&self, buyer: u64) -> bool {
        self.pending.contains(buyer) || self.buyers.contains(buyer)
    }

    pub(crate) fn add_buyers(&self, buyers: impl IntoIterator<Item = u64>) {
        buyers.into_iter().for_each(|buyer| self.buyers.add(buyer));
    }

    /// Redis's `TIME` by now and how far off that may be, in ms; `None` without a reading younger
    /// than [`READ_MODEL_AGE_MAX`].
    #[must_use]
    pub fn time(&self, now: Instant) -> Option<(i64, i64)> {
        let clock = self.clock.load();
        let clock = clock.as_ref()?;
        let age = now.saturating_duration_since(clock.at);
        (age < READ_MODEL_AGE_MAX).then(|| (clock.time + millis(age), clock.error_ms))
    }

    /// Redis's `TIME` as it was last noted in the ledger by a tick of this process.
    #[must_use]
    pub(crate) fn noted_time(&self) -> i64 {
        self.clock.load().as_ref().map_or(i64::MIN, |clock| clock.time)
    }

    /// Redis's `TIME` by now as well as it is known; the wall clock of this host without any reading.
    #[must_use]
    pub fn best_time(&self) -> i64 {
        match self.clock.load().as_ref() {
            Some(clock) => clock.time + millis(clock.at.elapsed()),
            None => jiff::Timestamp::now().as_millisecond(),
        }
    }

    /// Notes what a script said of Redis's clock.
    pub fn read_clock(&self, header: &Header, sent: Instant) {
        let round_trip = sent.elapsed();
        // The reading was taken somewhere between sending and now; clocks of hosts drift by less
        // than 1 ms a second, and a reading is used for one second.
        let error_ms = millis(round_trip) + 5;
        self.clock.store(Some(Arc::new(Clock { time: header.time, at: Instant::now(), error_ms })));
    }

    /// How the sweeper of this process gets on.
    #[must_use]
    pub fn sweep_status(&self) -> &SweepStatus {
        &self.sweep_status
    }

    /// Why the ledger refuses this sale, or why its journal can't be followed.
    #[must_use]
    pub fn fault(&self) -> Option<Arc<String>> {
        self.fault.load_full().or_else(|| self.consumer_fault.load_full())
    }

    /// Whether the ledger refuses this sale: nobody can reserve, whatever its phase.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.faults.load(Ordering::Acquire) & LEDGER_FAULT != 0
    }

    /// Memory decides nothing while the journal can't be followed.
    pub(crate) fn set_consumer_fault(&self, why: Option<String>) {
        let before = self.consumer_fault.swap(why.clone().map(Arc::new));
        self.set_fault_bit(CONSUMER_FAULT, why.is_some());
        if let Some(why) = why.filter(|why| before.as_deref() != Some(why)) {
            tracing::error!(sale = self.id, "the journal can't be followed: {why}");
        }
    }

    fn set_fault_bit(&self, fault: u8, is_there: bool) {
        if is_there {
            self.faults.fetch_or(fault, Ordering::Release);
        } else {
            self.faults.fetch_and(!fault, Ordering::Release);
        }
    }

    pub(crate) fn set_fault(&self, fault: Option<String>) {
        let before = self.fault.swap(fault.clone().map(Arc::new));
        self.set_fault_bit(LEDGER_FAULT, fault.is_some());
        match fault {
            Some(fault) if before.as_deref() != Some(&fault) => {
                tracing::error!(sale = self.id, "the ledger stands still: {fault}");
            }
            None if before.is_some() => tracing::info!(sale = self.id, "the ledger goes on"),
            _ => {}
        }
    }
}

/// A panic while one of these locks was held leaves plain data behind, which is still right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
