//! The metrics of sales: phase, stock, stores, drift, and holds that are due.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::domain::sale::Condition;
use crate::ops::exposition::family::{Family, MetricWriter, Value};
use crate::ops::status::GatewayStatus;
use crate::projection::read_model::{ReadModel, Sale, StoreTotals};
use crate::telemetry::labels::Outcome;
use crate::telemetry::list::{self, Metric};
use crate::telemetry::metrics::{AuditSummary, WorkerMetrics};
use crate::telemetry::record::Sums;
use crate::telemetry::taps::{SaleTaps, TapResult};

/// Characters of an operator's reason in a label.
const REASON_CHARS_MAX: usize = 120;

/// A sale at one moment: all its series have one sequence.
struct SaleSample {
    sale: Arc<Sale>,
    read_model: Arc<ReadModel>,
    time: i64,
    stores: StoreTotals,
    audited: Option<AuditSummary>,
    /// Of each worker that had any.
    taps: Vec<Arc<SaleTaps>>,
}

impl SaleSample {
    fn new(sale: Arc<Sale>, status: &GatewayStatus, workers: &[WorkerMetrics]) -> Self {
        let read_model = sale.read_model();
        let mut stores = StoreTotals::default();
        let catalogue = &read_model.catalogue;
        (catalogue.first_store()..catalogue.items().len()).for_each(|index| stores.add(&read_model, index));
        let taps = workers.iter().filter_map(|worker| worker.recorder.taps_by_sale.of(&sale.id)).collect();
        Self { time: sale.best_time(), read_model, stores, audited: status.audit_of(&sale), taps, sale }
    }

    /// The models: item, id and index of each.
    fn models(&self) -> impl Iterator<Item = (&str, &str, usize)> {
        let catalogue = &self.read_model.catalogue;
        let models = catalogue.items().iter().zip(&catalogue.definition.models).enumerate();
        models.map(|(index, (item, model))| (item.name.as_str(), model.id.as_str(), index))
    }

    /// When sign-up ends, and how many are signed up; `None`: the sale takes no sign-ups.
    fn signup(&self) -> Option<(i64, u64)> {
        let signup = self.read_model.catalogue.definition.signup.as_ref()?;
        Some((signup.closes_at.as_millisecond(), self.read_model.sign_ups.now))
    }

    fn write_stock(&self, family: &mut Family<'_>) -> fmt::Result {
        let (sale, read_model) = (self.sale.id.as_str(), &self.read_model);
        for (index, item) in read_model.catalogue.counted().iter().enumerate() {
            if let Some(total) = read_model.totals[index] {
                family.put(&[sale, &item.name, "total"], total)?;
                family.put(&[sale, &item.name, "free"], read_model.free[index])?;
            }
            family.put(&[sale, &item.name, "held"], read_model.held(index))?;
            family.put(&[sale, &item.name, "confirmed"], read_model.confirmed[index])?;
        }
        Ok(())
    }
}

/// Writes metrics of all sales.
struct SalesWriter<'a, 'b> {
    out: &'a mut MetricWriter<'b>,
    sales: Vec<SaleSample>,
}

impl SalesWriter<'_, '_> {
    /// Writes a metric with a series for each sale.
    fn one<V: Value>(&mut self, metric: &'static Metric, value: impl Fn(&SaleSample) -> V) -> fmt::Result {
        self.out.family(metric, |family| {
            self.sales.iter().try_for_each(|sample| family.put(&[&sample.sale.id], value(sample)))
        })
    }

    /// Writes a metric with a series for each sale that has a value.
    fn some<V: Value>(
        &mut self,
        metric: &'static Metric,
        value: impl Fn(&SaleSample) -> Option<V>,
    ) -> fmt::Result {
        self.out.family(metric, |family| {
            let mut values = self.sales.iter().filter_map(|sample| Some((sample, value(sample)?)));
            values.try_for_each(|(sample, value)| family.put(&[&sample.sale.id], value))
        })
    }

    /// Writes a metric with a second label, by the index of each of its values.
    fn each<V: Value>(
        &mut self,
        metric: &'static Metric,
        value: impl Fn(&SaleSample, usize) -> V,
    ) -> fmt::Result {
        self.out.family(metric, |family| {
            let mut sales = self.sales.iter();
            sales.try_for_each(|sample| family.each(&[&sample.sale.id], |n| value(sample, n)))
        })
    }
}

/// Writes all metrics of sales.
pub(super) fn write(
    out: &mut MetricWriter<'_>,
    status: &GatewayStatus,
    workers: &[WorkerMetrics],
) -> fmt::Result {
    let sales = status.sales.all().into_iter().map(|sale| SaleSample::new(sale, status, workers)).collect();
    let mut of = SalesWriter { out, sales };
    let now = Instant::now();
    let seconds = |ms: i64| ms as f64 / 1e3;
    of.one(&list::SNAPSHOT_AGE, |sample| sample.sale.incomplete_for(now).as_secs_f64())?;
    of.out
        .family(&list::STOCK, |family| of.sales.iter().try_for_each(|sample| sample.write_stock(family)))?;
    of.each(&list::STORES, |sample, n| sample.stores.by_availability[n])?;
    of.each(&list::STORE_SLOTS, |sample, n| [sample.stores.slots, sample.stores.free][n])?;
    of.each(&list::RESERVATIONS, |sample, n| sample.read_model.counts[n])?;
    of.some(&list::SIGNED_UP, |sample| Some(sample.signup()?.1))?;
    of.some(&list::SIGNUP_CLOSES, |sample| Some(seconds(sample.signup()?.0)))?;
    of.out.family(&list::DRAW_STAGE, |family| {
        of.sales.iter().try_for_each(|SaleSample { sale, read_model, .. }| {
            let Some(stage) = read_model.draw_stage() else { return Ok(()) };
            family.each(&[&sale.id], |n| u64::from(stage as usize == n))
        })
    })?;
    of.some(&list::DRAW_ENTRANTS, |sample| {
        sample.read_model.draw.as_ref().map(|_| sample.read_model.entrants())
    })?;
    of.some(&list::DRAW_ALLOCATED, |sample| {
        sample.read_model.draw.as_ref().map(|_| sample.read_model.allocated)
    })?;
    let has_standby = |sample: &&SaleSample| sample.read_model.catalogue.definition.sale.standby;
    of.out.family(&list::STANDBY_WAITING, |family| {
        of.sales.iter().filter(has_standby).try_for_each(|sample| {
            let waiting = |id: &str| sample.sale.waiting_for(id);
            sample.models().try_for_each(|(item, id, _)| family.put(&[&sample.sale.id, item], waiting(id)))
        })
    })?;
    of.out.family(&list::STANDBY_ASIDE, |family| {
        of.sales.iter().filter(has_standby).try_for_each(|sample| {
            let aside = |index| sample.read_model.aside(index);
            sample
                .models()
                .try_for_each(|(item, _, index)| family.put(&[&sample.sale.id, item], aside(index)))
        })
    })?;
    of.some(&list::STANDBY_SUSPENDED, |sample| {
        has_standby(&sample).then_some(u64::from(sample.read_model.controls.suspended))
    })?;
    let outcomes: Vec<Outcome> = Outcome::all().collect();
    of.each(&list::TAPS, |sample, n| sample.taps.iter().map(|taps| taps.count(outcomes[n])).sum::<u64>())?;
    of.each(&list::TAP_DURATIONS, |sample, n| {
        let mut sums = Sums::default();
        sample.taps.iter().for_each(|taps| taps.add_times_to(TapResult::ALL[n], &mut sums));
        sums
    })?;
    of.out.family(&list::PHASE, |family| {
        for SaleSample { sale, .. } in &of.sales {
            let condition = sale.condition();
            family.each(&[&sale.id], |n| u64::from(condition as usize == n))?;
        }
        unread(status, now)
            .try_for_each(|id| family.each(&[&id], |n| u64::from(Condition::Halted as usize == n)))
    })?;
    of.out.family(&list::PAUSED, |family| {
        for SaleSample { sale, read_model, .. } in &of.sales {
            if let Some(pause) = &read_model.actions.paused {
                let reason: String =
                    pause.reason.iter().flat_map(|reason| reason.chars()).take(REASON_CHARS_MAX).collect();
                family.put(&[&sale.id, &pause.by, &reason], 1)?;
            }
        }
        Ok(())
    })?;
    of.one(&list::FROZEN, |sample| u64::from(sample.read_model.controls.frozen))?;
    of.one(&list::OPENS, |sample| seconds(sample.read_model.controls.opens))?;
    of.one(&list::CLOSES, |sample| seconds(sample.read_model.controls.closes))?;
    of.one(&list::LEDGER_TIME, |sample| seconds(sample.time))?;
    of.one(&list::SEQUENCE, |sample| sample.read_model.sequence)?;
    of.one(&list::DRIFT, |sample| sample.audited.as_ref().map_or(-1, |audited| audited.drift))?;
    of.one(&list::AUDITED, |sample| sample.audited.as_ref().map_or(0, |audited| audited.at))?;
    of.one(&list::OVERSOLD, |sample| sample.read_model.oversold().map(|(_, units)| units).sum::<i64>())?;
    of.one(&list::DIFFER, |sample| u64::from(sample.sale.drift().is_some()))?;
    of.each(&list::REPLAYED, |sample, n| <[u64; 2]>::from(sample.sale.tick_status().replayed_changes())[n])?;
    of.one(&list::HOLDS_DUE, |sample| sample.sale.tick_status().overdue().1)?;
    of.one(&list::OLDEST_DUE, |sample| sample.sale.tick_status().overdue().0.as_secs_f64())?;
    of.one(&list::SWEEP_LAG, |sample| sample.sale.tick_status().lag(now).as_secs_f64())?;
    of.out.family(&list::FAULT, |family| {
        for SaleSample { sale, .. } in &of.sales {
            family.put(&[&sale.id], u64::from(sale.fault().is_some()))?;
        }
        unread(status, now).try_for_each(|id| family.put(&[&id], 1))
    })
}

/// Sales that were never read.
fn unread(status: &GatewayStatus, now: Instant) -> impl Iterator<Item = String> {
    status.sales.unread(now).into_iter().filter(|id| status.sales.get(id).is_none())
}
