//! The metrics of sales: phase, stock, stores, drift, and holds that are due.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::DescriptorEncoder;

use crate::ops::exposition::ExpositionSources;
use crate::ops::exposition::family::{Family, family};
use crate::projection::read_model::{ReadModel, Sale, StoreTotals};
use crate::telemetry::list::{self, Metric};

/// A sale at one moment: all its series have one sequence.
struct SaleSample {
    sale: Arc<Sale>,
    read_model: Arc<ReadModel>,
    time: i64,
    stores: StoreTotals,
}

impl SaleSample {
    fn new(sale: Arc<Sale>) -> Self {
        let read_model = sale.read_model();
        let mut stores = StoreTotals::default();
        read_model.catalogue.stores_in(None).for_each(|index| stores.add(&read_model, index));
        Self { time: sale.best_time(), read_model, stores, sale }
    }
}

fn stock(family: &mut Family<'_>, read_model: &ReadModel, sale: &str) -> fmt::Result {
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

impl ExpositionSources {
    pub(crate) fn sales(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sales: Vec<SaleSample> = self.sales.all().into_iter().map(SaleSample::new).collect();
        let now = Instant::now();
        let mut each =
            |metric: &'static Metric, write: &dyn Fn(&mut Family<'_>, &SaleSample, &str) -> fmt::Result| {
                family(encoder, metric, |family| {
                    sales.iter().try_for_each(|sample| write(family, sample, &sample.sale.id))
                })
            };
        let seconds = |ms: i64| ms as f64 / 1e3;
        each(&list::SNAPSHOT_AGE, &|family, sample, id| {
            family.real(&[id], sample.sale.incomplete_for(now).as_secs_f64())
        })?;
        each(&list::STOCK, &|family, sample, id| stock(family, &sample.read_model, id))?;
        each(&list::STORES, &|family, sample, id| {
            let counts = list::AVAILABILITIES.iter().zip(sample.stores.by_availability);
            counts.into_iter().try_for_each(|(name, count)| family.count(&[id, name], count as u64))
        })?;
        each(&list::STORE_SLOTS, &|family, sample, id| {
            family.put(&[id, "total"], sample.stores.slots)?;
            family.put(&[id, "free"], sample.stores.free)
        })?;
        each(&list::RESERVATIONS, &|family, sample, id| {
            let counts = list::RESERVATION_STATES.iter().zip(sample.read_model.counts);
            counts.into_iter().try_for_each(|(state, count)| family.count(&[id, state], count))
        })?;
        each(&list::PHASE, &|family, sample, id| {
            let phase = list::PHASES[sample.read_model.phase(sample.time) as usize];
            list::PHASES.iter().try_for_each(|name| family.flag(&[id, name], *name == phase))
        })?;
        each(&list::FROZEN, &|family, sample, id| family.flag(&[id], sample.read_model.controls.frozen))?;
        each(&list::OPENS, &|family, sample, id| {
            family.real(&[id], seconds(sample.read_model.controls.opens))
        })?;
        each(&list::CLOSES, &|family, sample, id| {
            family.real(&[id], seconds(sample.read_model.controls.closes))
        })?;
        each(&list::LEDGER_TIME, &|family, sample, id| family.real(&[id], seconds(sample.time)))?;
        each(&list::SEQUENCE, &|family, sample, id| family.count(&[id], sample.read_model.sequence))?;
        each(&list::DRIFT, &|family, sample, id| {
            family.put(
                &[id],
                self.metrics
                    .audit_of(&sample.sale.id, sample.sale.incarnation())
                    .map_or(-1, |audited| audited.drift),
            )
        })?;
        each(&list::AUDITED, &|family, sample, id| {
            family.put(
                &[id],
                self.metrics
                    .audit_of(&sample.sale.id, sample.sale.incarnation())
                    .map_or(0, |audited| audited.at),
            )
        })?;
        each(&list::OVERSOLD, &|family, sample, id| {
            family.put(&[id], sample.read_model.oversold().map(|(_, units)| units).sum())
        })?;
        each(&list::DIFFER, &|family, sample, id| family.flag(&[id], sample.sale.drift().is_some()))?;
        each(&list::REPLAYED, &|family, sample, id| {
            let (appended, lost) = sample.sale.sweep_status().replayed_changes();
            family.count(&[id, list::REPLAYED_AS[0]], appended)?;
            family.count(&[id, list::REPLAYED_AS[1]], lost)
        })?;
        each(&list::HOLDS_DUE, &|family, sample, id| {
            family.count(&[id], sample.sale.sweep_status().overdue().1)
        })?;
        each(&list::OLDEST_DUE, &|family, sample, id| {
            family.real(&[id], sample.sale.sweep_status().overdue().0.as_secs_f64())
        })?;
        each(&list::SWEEP_LAG, &|family, sample, id| {
            family.real(&[id], sample.sale.sweep_status().lag(now).as_secs_f64())
        })?;
        family(encoder, &list::FAULT, |family| {
            for SaleSample { sale, .. } in &sales {
                family.flag(&[&sale.id], sale.fault().is_some())?;
            }
            // Sales that were never read.
            for id in self.sales.unread().iter().filter(|id| self.sales.get(id).is_none()) {
                family.flag(&[id], true)?;
            }
            Ok(())
        })
    }
}
