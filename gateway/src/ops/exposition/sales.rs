//! What is shown of the sales: phase, stock, stores, drift and holds that are due.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use prometheus_client::encoding::DescriptorEncoder;

use crate::ops::exposition::Sources;
use crate::ops::exposition::family::{Family, family};
use crate::projection::read_model::{ReadModel, Sale, StoreTotals};
use crate::telemetry::list::{self, Metric};

/// A sale at one moment: all of its series are of one sequence.
struct Seen {
    sale: Arc<Sale>,
    read_model: Arc<ReadModel>,
    time: i64,
    stores: StoreTotals,
}

impl Seen {
    fn new(sale: Arc<Sale>) -> Self {
        let read_model = sale.read_model();
        let mut stores = StoreTotals::default();
        read_model.catalogue.stores_in(None).for_each(|place| stores.add(&read_model, place));
        Self { time: sale.best_time(), read_model, stores, sale }
    }
}

fn stock(family: &mut Family<'_>, read_model: &ReadModel, sale: &str) -> fmt::Result {
    for (place, item) in read_model.catalogue.counted().iter().enumerate() {
        if let Some(total) = read_model.totals[place] {
            family.put(&[sale, &item.name, "total"], total)?;
            family.put(&[sale, &item.name, "free"], read_model.free[place])?;
        }
        family.put(&[sale, &item.name, "held"], read_model.held(place))?;
        family.put(&[sale, &item.name, "confirmed"], read_model.confirmed[place])?;
    }
    Ok(())
}

impl Sources {
    pub(crate) fn sales(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sales: Vec<Seen> = self.sales.all().into_iter().map(Seen::new).collect();
        let now = Instant::now();
        let mut each = |metric: &'static Metric,
                        write: &dyn Fn(&mut Family<'_>, &Seen, &str) -> fmt::Result| {
            family(encoder, metric, |family| {
                sales.iter().try_for_each(|seen| write(family, seen, &seen.sale.id))
            })
        };
        let seconds = |ms: i64| ms as f64 / 1e3;
        each(&list::SNAPSHOT_AGE, &|family, seen, id| {
            family.real(&[id], seen.sale.incomplete_for(now).as_secs_f64())
        })?;
        each(&list::STOCK, &|family, seen, id| stock(family, &seen.read_model, id))?;
        each(&list::STORES, &|family, seen, id| {
            let counts = list::AVAILABILITIES.iter().zip(seen.stores.by_availability);
            counts.into_iter().try_for_each(|(name, count)| family.count(&[id, name], count as u64))
        })?;
        each(&list::STORE_SLOTS, &|family, seen, id| {
            family.put(&[id, "total"], seen.stores.slots)?;
            family.put(&[id, "free"], seen.stores.free)
        })?;
        each(&list::RESERVATIONS, &|family, seen, id| {
            let counts = list::RESERVATION_STATES.iter().zip(seen.read_model.counts);
            counts.into_iter().try_for_each(|(state, count)| family.count(&[id, state], count))
        })?;
        each(&list::PHASE, &|family, seen, id| {
            let phase = list::PHASES[seen.read_model.phase(seen.time) as usize];
            list::PHASES.iter().try_for_each(|name| family.flag(&[id, name], *name == phase))
        })?;
        each(&list::FROZEN, &|family, seen, id| family.flag(&[id], seen.read_model.controls.frozen))?;
        each(&list::OPENS, &|family, seen, id| family.real(&[id], seconds(seen.read_model.controls.opens)))?;
        each(&list::CLOSES, &|family, seen, id| {
            family.real(&[id], seconds(seen.read_model.controls.closes))
        })?;
        each(&list::LEDGER_TIME, &|family, seen, id| family.real(&[id], seconds(seen.time)))?;
        each(&list::SEQUENCE, &|family, seen, id| family.count(&[id], seen.read_model.sequence))?;
        each(&list::DRIFT, &|family, seen, id| {
            family.put(
                &[id],
                self.metrics
                    .audit_of(&seen.sale.id, seen.sale.incarnation())
                    .map_or(-1, |audited| audited.drift),
            )
        })?;
        each(&list::AUDITED, &|family, seen, id| {
            family.put(
                &[id],
                self.metrics.audit_of(&seen.sale.id, seen.sale.incarnation()).map_or(0, |audited| audited.at),
            )
        })?;
        each(&list::OVERSOLD, &|family, seen, id| {
            family.put(&[id], seen.read_model.oversold().map(|(_, units)| units).sum())
        })?;
        each(&list::DIFFER, &|family, seen, id| family.flag(&[id], seen.sale.drift().is_some()))?;
        each(&list::HEALED, &|family, seen, id| {
            let (appended, lost) = seen.sale.sweep_status().replayed_changes();
            family.count(&[id, list::HEALED_AS[0]], appended)?;
            family.count(&[id, list::HEALED_AS[1]], lost)
        })?;
        each(&list::HOLDS_DUE, &|family, seen, id| {
            family.count(&[id], seen.sale.sweep_status().overdue().1)
        })?;
        each(&list::OLDEST_DUE, &|family, seen, id| {
            family.real(&[id], seen.sale.sweep_status().overdue().0.as_secs_f64())
        })?;
        each(&list::REAPER_LAG, &|family, seen, id| {
            family.real(&[id], seen.sale.sweep_status().lag(now).as_secs_f64())
        })?;
        family(encoder, &list::FAULT, |family| {
            for Seen { sale, .. } in &sales {
                family.flag(&[&sale.id], sale.fault().is_some())?;
            }
            // Those that could not be read even once.
            for id in self.sales.unread().iter().filter(|id| self.sales.get(id).is_none()) {
                family.flag(&[id], true)?;
            }
            Ok(())
        })
    }
}
