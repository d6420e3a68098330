//! Models the operator actions: pause, freeze, close, restock, and changed definitions.

use gateway::domain::definition::Definition;
use gateway::manage::admin::{ApplyOutcome, OperatorAction, RestockOutcome};

use super::{Model, signed, stocks};

impl Model {
    /// Whether that changed something.
    pub fn perform(&mut self, action: OperatorAction) -> bool {
        let (is, shall_be) = match action {
            OperatorAction::Pause => (self.paused, true),
            OperatorAction::Resume => (self.paused, false),
            OperatorAction::Freeze => (self.frozen, true),
            OperatorAction::Unfreeze => (self.frozen, false),
            OperatorAction::Close => (self.closed, true),
            OperatorAction::SuspendStandby => (self.standby.suspended, true),
            OperatorAction::ResumeStandby => (self.standby.suspended, false),
        };
        let of_standby = matches!(action, OperatorAction::SuspendStandby | OperatorAction::ResumeStandby);
        if of_standby && !self.definition.sale.standby {
            return false;
        }
        if is == shall_be {
            return false;
        }
        // The clock stops, or goes on, from this very instant on.
        self.changed();
        match action {
            OperatorAction::Pause | OperatorAction::Resume => self.paused = shall_be,
            OperatorAction::Freeze | OperatorAction::Unfreeze => self.frozen = shall_be,
            OperatorAction::Close => self.closed = shall_be,
            OperatorAction::SuspendStandby | OperatorAction::ResumeStandby => {
                self.standby.suspended = shall_be
            }
        }
        true
    }

    /// The total of an item with a limit.
    pub fn total(&self, item: &str) -> Option<i64> {
        self.totals.get(item).copied().flatten()
    }

    /// A restock.
    pub fn restock(&mut self, item: &str, total: u64, was: u64) -> RestockOutcome {
        let (total, was) = (signed(total), signed(was));
        let taken = self.adopted_all(item);
        match self.totals.get(item) {
            None => RestockOutcome::UnknownItem,
            Some(None) => RestockOutcome::NoLimit,
            Some(&Some(now)) if now != total && now != was => RestockOutcome::Changed { total: now },
            Some(&Some(now)) if now != total && total < self.least(item, now) => {
                RestockOutcome::Taken { taken: self.least(item, now) }
            }
            Some(&Some(now)) => {
                let mut free = now - taken - self.aside(item);
                if now != total {
                    self.shift(item, total - now);
                    self.totals.insert(item.to_owned(), Some(total));
                    free = total - taken - self.aside(item);
                    self.changed();
                    self.grant(&[item.to_owned()], 64);
                }
                RestockOutcome::Done { total, free }
            }
        }
    }

    /// The least that an item's total can be.
    fn least(&self, item: &str, total: i64) -> i64 {
        if self.is_reserved_for_draw(item) { total } else { self.adopted_all(item) }
    }

    /// Applies a definition. Lists that have no order by contract are sorted.
    pub fn apply(&mut self, after: &Definition) -> ApplyOutcome {
        let before = &self.definition;
        if before == after {
            return ApplyOutcome::Unchanged(self.revision);
        }
        let locked = locked(before, after);
        if !locked.is_empty() && !self.claims.is_empty() {
            return ApplyOutcome::Locked(locked);
        }
        if self.closed && before.sale.closes_at != after.sale.closes_at {
            return ApplyOutcome::Locked(vec!["closes_at".into()]);
        }
        let (old, new) = (stocks(before), stocks(after));
        let unlimited = |item: &&String| new.get(*item) == Some(&None) && old[*item].is_some();
        // Of a model that a draw allocates: neither comes nor goes a limit, nor the model itself.
        let is_limited = |stock: Option<&Option<u64>>| stock.map(|stock| stock.is_some());
        let is_other = |item: &&String| match new.get(*item) {
            None => is_limited(old.get(*item)) == Some(false),
            stock => is_limited(stock) != is_limited(old.get(*item)),
        };
        if old.keys().filter(unlimited).any(|item| self.is_awaited(item))
            || old.keys().chain(new.keys()).filter(is_other).any(|item| self.is_reserved_for_draw(item))
        {
            return ApplyOutcome::Locked(vec!["stock".into()]);
        }
        let removed: Vec<String> = old.keys().filter(|item| !new.contains_key(*item)).cloned().collect();
        let used: Vec<String> = removed
            .iter()
            .filter(|item| {
                self.ever_taken.contains(*item) || self.is_awaited(item) || self.is_reserved_for_draw(item)
            })
            .cloned()
            .collect();
        if !used.is_empty() {
            return ApplyOutcome::ItemTaken(used);
        }
        let mut totals = self.totals.clone();
        totals.retain(|item, _| !removed.contains(item));
        for (item, stock) in &new {
            let was = old.get(item).copied();
            if was == Some(*stock) {
                continue;
            }
            // What was restocked meanwhile stays: only the difference between the files counts.
            let restocked = match was {
                Some(Some(was)) => self.totals[item].map_or(0, |total| total - signed(was)),
                _ => 0,
            };
            totals.insert(item.clone(), stock.map(|n| signed(n) + restocked));
        }
        let short: Vec<(String, u64)> = totals
            .iter()
            .filter(|(item, total)| {
                let least = |item| {
                    self.totals.get(item).copied().flatten().map_or(0, |total| self.least(item, total))
                };
                old.get(*item) != new.get(*item)
                    && total.is_some_and(|n| n < self.adopted_all(item).max(least(item.as_str())))
            })
            .map(|(item, _)| {
                let least =
                    self.totals.get(item).copied().flatten().map_or(0, |total| self.least(item, total));
                (item.clone(), self.adopted_all(item).max(least).unsigned_abs())
            })
            .collect();
        if !short.is_empty() {
            return ApplyOutcome::StockTaken(short);
        }
        let mut changed: Vec<String> = Vec::new();
        for (item, total) in &totals {
            if old.get(item) != new.get(item) {
                changed.push(item.clone());
                if let (Some(total), Some(Some(was))) = (total, self.totals.get(item).copied()) {
                    self.shift(item, total - was);
                }
            }
        }
        self.totals = totals;
        self.definition = after.clone();
        self.revision += 1;
        self.changed();
        self.grant(&changed, 64);
        ApplyOutcome::Updated(self.revision)
    }
}

fn locked(before: &Definition, after: &Definition) -> Vec<String> {
    let (b, a) = (&before.sale, &after.sale);
    let mut fields = vec![
        (b.opens_at != a.opens_at, "opens_at".to_owned()),
        (b.hold_ms != a.hold_ms, "hold".into()),
        (b.grace_ms != a.grace_ms, "grace".into()),
        (b.per_buyer != a.per_buyer, "per_buyer".into()),
        (b.currency != a.currency, "currency".into()),
        (b.deposit != a.deposit, "deposit".into()),
    ];
    for model in &after.models {
        let other = |m: &&gateway::domain::definition::Model| m.id == model.id && m.price != model.price;
        fields.push((before.models.iter().any(|m| other(&m)), format!("price of model:{}", model.id)));
    }
    let mut fields: Vec<String> =
        fields.into_iter().filter(|(differs, _)| *differs).map(|(_, f)| f).collect();
    fields.sort();
    fields
}
