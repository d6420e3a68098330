//! What is counted, as a list; the text that Prometheus reads is made from it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::report::Latencies;
use crate::ledger::memory::Sales;

type Requests = Counter<u64, AtomicU64>;

/// HTTP's statuses, 100 to 599.
const FIRST_STATUS: usize = 100;
const STATUSES: usize = 500;

/// The calls of the public listener, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// `/v1/time`
    Time,
    /// `/problems/{name}`
    Problem,
    /// A sale.
    Sale,
    /// Its stores.
    Stores,
    /// Its reservations.
    Reservations,
    /// One of them.
    Reservation,
    /// Its confirmation.
    Confirm,
    /// Its cancellation.
    Cancel,
    /// No path of the API.
    None,
}

const ROUTES: [&str; 9] =
    ["time", "problem", "sale", "stores", "reservations", "reservation", "confirm", "cancel", "none"];

/// A request's route and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RouteStatus {
    route: &'static str,
    status: u16,
}

impl EncodeLabelSet for RouteStatus {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeLabel;
        ("route", self.route).encode(encoder.encode_label())?;
        ("status", u32::from(self.status)).encode(encoder.encode_label())
    }
}

/// A sale, and one of its items or states.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SaleLabel {
    sale: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ItemLabel {
    sale: String,
    item: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    sale: String,
    state: &'static str,
}

/// All metrics of this process.
pub struct Metrics {
    registry: Registry,
    requests: Family<RouteStatus, Requests>,
    /// Those of each route, by status: found without hashing labels.
    counters: [Box<[OnceLock<Requests>]>; ROUTES.len()],
    latencies: Mutex<Vec<Arc<Latencies>>>,
    sequence: Family<SaleLabel, Gauge>,
    free: Family<ItemLabel, Gauge>,
    total: Family<ItemLabel, Gauge>,
    reservations: Family<StateLabel, Gauge>,
    drift: Family<SaleLabel, Gauge>,
    fault: Family<SaleLabel, Gauge>,
    differ: Family<SaleLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("launchgate");
        let requests = Family::<_, Requests>::default();
        registry.register(
            "requests",
            "Answers on the public listener, by route and status",
            requests.clone(),
        );
        let sequence = Family::default();
        registry.register(
            "ledger_sequence",
            "Latest change of a sale that this gateway has followed",
            sequence.clone(),
        );
        let free = Family::default();
        registry.register("stock_free", "What is left of a model or package that has a limit", free.clone());
        let total = Family::default();
        registry.register("stock_total", "The total of a model or package that has a limit", total.clone());
        let reservations = Family::default();
        registry.register("reservations", "Reservations of a sale, by state", reservations.clone());
        let drift = Family::default();
        registry.register("ledger_drift", "Sum of the absolute drifts of all items, and 1 for each problem, in the last audit; -1 before the first", drift.clone());
        let fault = Family::default();
        registry.register("ledger_fault", "1 while the ledger refuses this sale", fault.clone());
        let differ = Family::default();
        registry.register(
            "ledger_counters_differ",
            "1 while the live counters differ from what the journal says; compared with every tick",
            differ.clone(),
        );
        let counters = ROUTES.map(|_| std::iter::repeat_with(OnceLock::new).take(STATUSES).collect());
        Self {
            latencies: Mutex::default(),
            counters,
            differ,
            registry,
            requests,
            sequence,
            free,
            total,
            reservations,
            drift,
            fault,
        }
    }
}

impl Metrics {
    /// Counts an answer.
    pub fn count(&self, route: Route, status: u16) {
        let place = usize::from(status).wrapping_sub(FIRST_STATUS);
        if let Some(counter) = self.counters[route as usize].get(place) {
            let labels = RouteStatus { route: ROUTES[route as usize], status };
            counter.get_or_init(|| self.requests.get_or_create(&labels).clone()).inc();
        }
    }

    /// All answers so far, by route and status.
    #[must_use]
    pub fn answers(&self) -> BTreeMap<String, u64> {
        let of_route = |(route, counters): (&&str, &[OnceLock<Requests>])| {
            let told = |(place, counter): (usize, &OnceLock<Requests>)| {
                Some((format!("{route} {}", FIRST_STATUS + place), counter.get()?.get()))
            };
            counters.iter().enumerate().filter_map(told).collect::<Vec<_>>()
        };
        ROUTES.iter().zip(self.counters.iter().map(|counters| &**counters)).flat_map(of_route).collect()
    }

    /// Latencies of one more worker.
    #[must_use]
    pub fn latencies_of_worker(&self) -> Arc<Latencies> {
        let latencies = Arc::new(Latencies::default());
        self.all_latencies().push(latencies.clone());
        latencies
    }

    /// The latencies of every worker.
    #[must_use]
    pub fn latencies(&self) -> Vec<Arc<Latencies>> {
        self.all_latencies().clone()
    }

    fn all_latencies(&self) -> MutexGuard<'_, Vec<Arc<Latencies>>> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an audit found.
    pub fn audited(&self, sale: &str, drift: i64) {
        self.drift.get_or_create(&SaleLabel { sale: sale.to_owned() }).set(drift);
    }

    /// All metrics as text, the ledger's as memory has them now.
    #[must_use]
    pub fn text(&self, sales: &Sales) -> String {
        for sale in sales.all() {
            let memory = sale.memory();
            let label = SaleLabel { sale: sale.id.clone() };
            self.sequence.get_or_create(&label).set(i64::try_from(memory.sequence).unwrap_or(i64::MAX));
            self.fault.get_or_create(&label).set(i64::from(sale.fault().is_some()));
            self.differ.get_or_create(&label).set(i64::from(sale.drift().is_some()));
            let _ = self.drift.get_or_create_owned(&label);
            for (place, item) in memory.catalogue.counted().iter().enumerate() {
                if let Some(total) = memory.totals[place] {
                    let label = ItemLabel { sale: sale.id.clone(), item: item.name.clone() };
                    self.free.get_or_create(&label).set(memory.free[place]);
                    self.total.get_or_create(&label).set(total);
                }
            }
            for (state, count) in ["held", "confirmed", "cancelled", "expired"].into_iter().zip(memory.counts)
            {
                let label = StateLabel { sale: sale.id.clone(), state };
                self.reservations.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        for sale in sales.unread() {
            self.fault.get_or_create(&SaleLabel { sale }).set(1);
        }
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
