//! The lines of one sale: its definition, and its numbers at one sequence.

use std::sync::Arc;
use std::time::Instant;

use crate::domain::operator_action;
use crate::domain::rfc3339::rfc3339;
use crate::manage::audit::Counts;
use crate::ops::live::cities::Cities;
use crate::ops::live::frame::{
    ActionEffect, AuditNow, CityNow, ItemName, ItemNow, LedgerBalance, SaleLine, SaleNow, StoresNow,
};
use crate::ops::live::journal_text;
use crate::ops::view::{ActionView, DrawNow};
use crate::projection::read_model::{READ_MODEL_AGE_MAX, ReadModel, Sale};
use crate::telemetry::metrics::AuditSummary;

/// Samples one sale, and caches what has not changed.
pub(super) struct SaleMonitor {
    pub(super) sale: Arc<Sale>,
    cities: Cities,
    /// Store totals, with the read model that they are from.
    stores: Option<(Arc<ReadModel>, StoreSummary)>,
}

type StoreSummary = (StoresNow, Vec<CityNow>, Vec<CityNow>);

impl SaleMonitor {
    pub(super) fn at(sale: Arc<Sale>) -> Self {
        let cities = Cities::new(&sale.read_model().catalogue);
        Self { sale, cities, stores: None }
    }

    /// The definition, if it changed since the last call or `is_asked_for`.
    pub(super) fn about(&mut self, is_asked_for: bool) -> Option<SaleLine> {
        let read_model = self.sale.read_model();
        let is_new = !Arc::ptr_eq(&self.cities.of, &read_model.catalogue);
        if is_new {
            self.cities = Cities::new(&read_model.catalogue);
        }
        (is_new || is_asked_for).then(|| self.line(&read_model))
    }

    fn line(&self, read_model: &ReadModel) -> SaleLine {
        let definition = &read_model.catalogue.definition;
        let names =
            definition.models.iter().map(|m| &m.name).chain(definition.packages.iter().map(|p| &p.name));
        let items = read_model.catalogue.counted().iter().zip(names);
        let items = items.map(|(item, name)| ItemName { item: item.name.clone(), name: name.clone() });
        SaleLine {
            sale: self.sale.id.clone(),
            name: definition.sale.name.clone(),
            rehearsal: definition.sale.rehearsal,
            revision: read_model.catalogue.revision,
            opens_at: rfc3339(read_model.controls.opens),
            closes_at: rfc3339(read_model.controls.closes),
            hold_ms: definition.sale.hold_ms,
            items: items.collect(),
            stores: definition.stores.len(),
            cities: self.cities.names.len(),
            actions: operator_action::effects()
                .into_iter()
                .map(|(action, effect)| ActionEffect { action, effect })
                .collect(),
        }
    }

    /// The number of models.
    pub(super) fn models(&self) -> usize {
        self.sale.read_model().catalogue.definition.models.len()
    }

    /// The numbers.
    pub(super) fn now(&mut self, audited: Option<AuditSummary>, now: Instant) -> SaleNow {
        let read_model = self.sale.read_model();
        let is_known = self.stores.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, &read_model));
        if !is_known && Arc::ptr_eq(&self.cities.of, &read_model.catalogue) {
            self.stores = Some((read_model.clone(), self.cities.add_up(&read_model)));
        }
        let (stores, fullest, emptiest) =
            self.stores.as_ref().map(|(_, stores)| stores.clone()).unwrap_or_default();
        let items: Vec<ItemNow> = (0..read_model.catalogue.counted().len())
            .map(|index| {
                let total = read_model.totals[index];
                let free = total.map(|_| read_model.free[index]);
                let (aside, held) = (read_model.aside(index), read_model.held(index));
                ItemNow { total, free, aside, held, confirmed: read_model.confirmed[index] }
            })
            .collect();
        SaleNow {
            state: self.sale.condition(),
            paused: read_model.controls.paused,
            frozen: read_model.controls.frozen,
            closed: read_model.controls.closed,
            suspended: read_model.controls.suspended,
            waiting: self.waiting(&read_model),
            signed_up: read_model.catalogue.definition.signup.as_ref().map(|_| read_model.sign_ups.now),
            draw: read_model.draw_stage().map(|stage| DrawNow {
                stage,
                entrants: read_model.entrants(),
                allocated: read_model.allocated,
            }),
            pause: read_model.actions.paused.as_deref().map(ActionView::of),
            sequence: read_model.sequence,
            age_ms: u64::try_from(self.sale.incomplete_for(now).as_millis()).unwrap_or(u64::MAX),
            reservations: Counts::of(read_model.counts),
            ledger: self.ledger(&read_model, &items, audited, now),
            items,
            stores,
            fullest,
            emptiest,
            journal: journal_text::journal(&self.sale.tail(), &read_model.catalogue),
        }
    }

    /// How many wait for each model; `None` without standby queues.
    fn waiting(&self, read_model: &ReadModel) -> Option<Vec<u64>> {
        let definition = &read_model.catalogue.definition;
        let of = || definition.models.iter().map(|model| self.sale.waiting_for(&model.id)).collect();
        definition.sale.standby.then(of)
    }

    /// All models together. Held and confirmed come from the journal's reservations; free is the counter,
    /// which every tick compares with Redis's own; total is the definition plus restocks.
    fn ledger(
        &self,
        read_model: &ReadModel,
        items: &[ItemNow],
        audited: Option<AuditSummary>,
        now: Instant,
    ) -> LedgerBalance {
        let models = &items[..read_model.catalogue.definition.models.len()];
        let sum = |of: fn(&ItemNow) -> Option<i64>| models.iter().map(of).sum::<Option<i64>>();
        let (total, free) = (sum(|item| item.total), sum(|item| item.free));
        let aside = models.iter().map(|item| item.aside).sum::<i64>();
        let [held, confirmed, ..] = read_model.counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        let drift = total.zip(free).map_or(0, |(total, free)| free + aside + held + confirmed - total);
        let is_whole = self.sale.drift().is_none()
            && drift == 0
            && items.iter().all(|item| {
                item.total.zip(item.free).is_none_or(|(total, free)| {
                    free >= 0 && item.held >= 0 && free + item.aside + item.held + item.confirmed == total
                })
            })
            && audited.as_ref().is_none_or(|audited| audited.drift == 0);
        let is_known = self.sale.fault().is_none() && self.sale.incomplete_for(now) <= READ_MODEL_AGE_MAX;
        let verdict = match (is_whole, is_known) {
            (false, _) => "drift",
            (true, false) => "unknown",
            (true, true) => "balanced",
        };
        let audit = audited.map(|audited| AuditNow {
            at: rfc3339(audited.at.saturating_mul(1_000)),
            balanced: audited.drift == 0,
        });
        LedgerBalance { verdict, total, free, aside, held, confirmed, drift, audit }
    }
}
