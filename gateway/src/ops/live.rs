//! The live page: its files, and the stream that it reads. One collector samples this gateway's state
//! once a second, even without watchers, so that a new watcher gets the history. Each line is serialized
//! once for all watchers.

mod cities;
mod fleet;
pub mod frame;
mod history;
mod journal_text;
pub mod page;
mod sale;
pub mod taps;
mod watcher;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use crate::api::reservations::find_sale;
use crate::domain::policy::{Rate, rate_text};
use crate::domain::problem;
use crate::domain::rfc3339::rfc3339;
use crate::fleet::alarm::Alarm;
use crate::fleet::membership::Heartbeat;
use crate::http::respond::{self, Answer, Refused};
use crate::identify::ops_tokens::Operator;
use crate::ops::alarms::{self, Recents};
use crate::ops::status::GatewayStatus;
use crate::projection::read_model::Sale;
use fleet::Fleet;
use frame::{AlarmNow, Hello, LimitNow, LiveLine, Now, SaleName};
use history::HistoryRing;
use sale::SaleMonitor;
use watcher::{LiveUpdate, watcher};

/// Interval of lines.
const EVERY: Duration = Duration::from_secs(1);
/// Concurrent watchers.
pub const WATCHERS_MAX: usize = 200;
/// Alarms in one line.
const ALARMS_MAX: usize = 50;

/// The live stream: its watchers and their lines.
pub struct Live {
    status: GatewayStatus,
    /// One for each watcher.
    slots: Arc<Semaphore>,
    collector: RefCell<Collector>,
}

/// State kept from line to line.
#[derive(Default)]
struct Collector {
    fleet: Fleet,
    recents: Recents,
    /// By sale id; the empty id is that of the view without a sale.
    views: BTreeMap<String, View>,
}

/// The stream of one sale.
struct View {
    /// `None` without a sale.
    monitor: Option<SaleMonitor>,
    history: HistoryRing,
    news: watch::Sender<LiveUpdate>,
}

impl Live {
    /// Starts the collector on this thread.
    pub fn start(status: GatewayStatus) -> Rc<Self> {
        let live = Rc::new(Self {
            status,
            slots: Arc::new(Semaphore::new(WATCHERS_MAX)),
            collector: RefCell::default(),
        });
        tokio::task::spawn_local(live.clone().collect());
        live
    }

    /// `GET /admin/v1/live`: streams this sale (default: the one that is open or opens next) for this
    /// many `now` lines (default: no end), until `ended`.
    pub fn watch(
        self: &Rc<Self>,
        operator: &Operator,
        sale: Option<&str>,
        lines: Option<usize>,
        ended: impl Future<Output = ()> + 'static,
    ) -> Result<Answer, Refused> {
        let sale = match sale {
            Some(id) => Some(find_sale(&self.status.sales, id)?),
            None => self.first_sale(),
        };
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| {
            let detail = format!(
                "{WATCHERS_MAX} live streams of this gateway are open already. Close one, or use another gateway."
            );
            Refused::new(problem::TEMPORARY_REDUCED_CAPACITY, detail).retry_after(5_000)
        })?;
        let mut collector = self.collector.borrow_mut();
        let Collector { fleet, recents, views } = &mut *collector;
        let key = sale.as_ref().map_or("", |sale| &sale.id).to_owned();
        // The sale may be newer than the last sample.
        let view = views.entry(key).or_insert_with(|| {
            let mut view = View::of(sale);
            view.write_update(&self.status, fleet, recents, Instant::now());
            view
        });
        let hello = Hello {
            who: &operator.name,
            role: operator.role().name(),
            version: env!("CARGO_PKG_VERSION"),
            edition: page::EDITION,
            charts: page::HAS_CHARTS,
            every_ms: u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX),
            server_time: rfc3339(view.time()),
        };
        let begin = [text(&LiveLine::Hello(hello)), text(&LiveLine::History(view.history.columns()))];
        let body = watcher(view.news.subscribe(), begin, lines, ended, slot);
        Ok(respond::stream("application/x-ndjson", body))
    }

    /// The sale that is open or opens next; else the one that was open last.
    fn first_sale(&self) -> Option<Arc<Sale>> {
        self.status.sales.all().into_iter().min_by_key(|sale| {
            let (controls, time) = (sale.read_model().controls, sale.best_time());
            let is_over = controls.closed || time >= controls.closes;
            (is_over, (controls.opens - time).abs(), sale.id.clone())
        })
    }

    /// Samples once a second, for as long as the process lives.
    async fn collect(self: Rc<Self>) {
        let mut tick = tokio::time::interval(EVERY);
        // A late sample is skipped: a line shows the present.
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tick.tick().await;
            let now = Instant::now();
            let mut collector = self.collector.borrow_mut();
            let Collector { fleet, recents, views } = &mut *collector;
            fleet.update(self.status.membership.latest().as_deref(), now);
            recents.note(&self.status.metrics.answers());
            let sales = self.status.sales.all();
            // A purged sale is dropped, which ends its streams.
            views.retain(|_, view| match &view.monitor {
                Some(monitor) => sales.iter().any(|sale| Arc::ptr_eq(&monitor.sale, sale)),
                None => sales.is_empty() || view.news.receiver_count() > 0,
            });
            if sales.is_empty() {
                views.entry(String::new()).or_insert_with(|| View::of(None));
            }
            for sale in sales {
                views.entry(sale.id.clone()).or_insert_with(|| View::of(Some(sale)));
            }
            views.values_mut().for_each(|view| view.write_update(&self.status, fleet, recents, now));
        }
    }
}

impl View {
    /// A view of this sale, without a line yet.
    fn of(sale: Option<Arc<Sale>>) -> Self {
        Self {
            monitor: sale.map(SaleMonitor::at),
            history: HistoryRing::default(),
            news: watch::Sender::new(LiveUpdate::default()),
        }
    }

    /// The server's clock.
    fn time(&self) -> i64 {
        let now = || jiff::Timestamp::now().as_millisecond();
        self.monitor.as_ref().map_or_else(now, |monitor| monitor.sale.best_time())
    }

    /// Writes the line of this second.
    fn write_update(&mut self, status: &GatewayStatus, fleet: &Fleet, recents: &Recents, now: Instant) {
        let before = self.news.borrow().clone();
        let about = self.monitor.as_mut().and_then(|monitor| monitor.about(before.about.is_empty()));
        let (edition, about) = match about {
            Some(line) => (before.edition + 1, text(&LiveLine::Sale(line))),
            None => (before.edition, before.about),
        };
        let time = self.time();
        let membership = &status.membership;
        let name_of = |sale: Arc<Sale>| {
            let name = sale.read_model().catalogue.definition.sale.name.clone();
            SaleName { sale: sale.id.clone(), name }
        };
        let mut sales: Vec<SaleName> = status.sales.all().into_iter().map(name_of).collect();
        sales.sort();
        let line = Now {
            server_time: rfc3339(time),
            clock_known: self.monitor.as_ref().is_none_or(|monitor| monitor.sale.time(now).is_some()),
            sales,
            sale: self.monitor.as_mut().map(|monitor| {
                let audited = status.audit_of(&monitor.sale);
                monitor.now(audited, now)
            }),
            limits: limits_set(membership.latest().as_deref()),
            taps: fleet.taps(now),
            latency: fleet.latency(),
            gateways: fleet.list(&membership.id, now),
            alarms: all_alarms(
                alarms::of_gateway(status, &status.readiness.reasons(), recents.counts(), now),
                fleet.alarms(&membership.id, now),
                &membership.listen,
            ),
        };
        self.history.push(time, &line, self.monitor.as_ref().map_or(0, SaleMonitor::models));
        self.news.send_replace(LiveUpdate { edition, about, now: text(&LiveLine::Now(Box::new(line))) });
    }
}

/// The rates that operators have set for all gateways, as of the last heartbeat.
fn limits_set(heartbeat: Option<&Heartbeat>) -> Vec<LimitNow> {
    let limit = |(policy, rate): (&&'static str, &Option<Rate>)| LimitNow { policy, rate: rate_text(*rate) };
    heartbeat.map(|heartbeat| heartbeat.limits.iter().map(limit).collect()).unwrap_or_default()
}

/// Alarms of this gateway and of the fleet, duplicates merged, the worst first.
fn all_alarms(own: Vec<Alarm>, others: Vec<(Alarm, String)>, here: &str) -> Vec<AlarmNow> {
    let mut merged: Vec<(Alarm, Vec<String>)> = Vec::new();
    for (alarm, gateway) in own.into_iter().map(|alarm| (alarm, here.to_owned())).chain(others) {
        let same = merged.iter_mut().find(|(other, _)| {
            // Of a sale, the same alarm from two gateways is one fact; the texts may differ by a moment.
            let is_same_kind = (&other.name, &other.sale) == (&alarm.name, &alarm.sale);
            is_same_kind && (alarm.sale.is_some() || other.text == alarm.text)
        });
        let gateways = if gateway.is_empty() { Vec::new() } else { vec![gateway] };
        match same {
            Some((other, reporters)) => {
                other.level = other.level.min(alarm.level);
                other.count = other.count.zip(alarm.count).map(|(count, more)| count + more);
                reporters.extend(gateways);
            }
            None => merged.push((alarm, gateways)),
        }
    }
    merged.sort_by_key(|(alarm, _)| alarm.level);
    merged.truncate(ALARMS_MAX);
    let line = |(Alarm { level, name, sale, text, count }, gateways)| {
        let text = count.map_or(text.clone(), |count| format!("{text}: {count}."));
        AlarmNow { level, name, sale, text, gateways }
    };
    merged.into_iter().map(line).collect()
}

/// A line with its end.
fn text(line: &LiveLine<'_>) -> Bytes {
    // Writing into a Vec can't fail, nor serializing these types.
    let mut text = serde_json::to_vec(line).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

#[cfg(test)]
mod tests;
