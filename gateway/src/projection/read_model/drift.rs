//! Compares Redis's live counters with the journal, at the same sequence.

use std::sync::Arc;

use crate::domain::catalogue::Catalogue;
use crate::projection::read_model::{ReadModel, Sale, lock};

/// The live counters of models and packages at one sequence, by index.
#[derive(Debug)]
pub struct Counters {
    /// That of the ledger.
    pub sequence: u64,
    /// The revision of the definition whose items were read: another one may count them otherwise.
    pub revision: u64,
    /// Holds by the state.
    pub held: u64,
    /// What is free by item; `None` is damaged.
    pub free: Vec<Option<i64>>,
    /// What is set aside by model, likewise; empty without standby queues.
    pub aside: Vec<Option<i64>>,
}

impl Counters {
    /// The models of which something is set aside, as items.
    pub(crate) fn aside_models<'a>(&self, catalogue: &'a Catalogue) -> Vec<&'a str> {
        let models = catalogue.items().iter().zip(&self.aside);
        models.filter(|(_, aside)| aside.is_some_and(|n| n > 0)).map(|(item, _)| item.name.as_str()).collect()
    }
}

impl Sale {
    /// Compares live counters with the read model: now, or once the consumer reaches their
    /// sequence.
    pub(crate) fn compare_counters(&self, counters: Counters) {
        *lock(&self.counters) = Some(counters);
        self.compare_counters_at(&self.read_model());
    }

    /// Compares the live counters of exactly this model's sequence, if there are any.
    pub(crate) fn compare_counters_at(&self, read_model: &ReadModel) {
        let mut waiting = lock(&self.counters);
        let Some(counters) = waiting.take_if(|c| c.sequence <= read_model.sequence) else {
            return;
        };
        if counters.sequence < read_model.sequence || counters.revision != read_model.catalogue.revision {
            return;
        }
        let pair = |of: &[i64], place: usize, live: &Option<i64>| (place, *live, of.get(place).copied());
        let free = counters.free.iter().enumerate().map(|(place, live)| pair(&read_model.free, place, live));
        let aside =
            counters.aside.iter().enumerate().map(|(place, live)| pair(&read_model.aside, place, live));
        let all = free.map(|pair| ("", pair)).chain(aside.map(|pair| ("what is set aside of ", pair)));
        let differing = all.into_iter().find(|(_, (_, live, journal))| live != journal);
        let drift = if let Some((what, (place, live, journal))) = differing {
            let item = read_model.catalogue.items().get(place).map_or("", |item| item.name.as_str());
            let shown = |n: Option<i64>| n.map_or_else(|| "no number".to_owned(), |n| n.to_string());
            let (live, journal) = (shown(live), shown(journal));
            Some(format!("the counter of {what}{item} is {live}, the journal has {journal}"))
        } else if counters.held != read_model.counts[0] {
            Some(format!("the state counts {} holds, the journal {}", counters.held, read_model.counts[0]))
        } else {
            None
        };
        let before = self.drift.swap(drift.clone().map(Arc::new));
        if let Some(drift) = drift.filter(|drift| before.as_deref() != Some(drift)) {
            tracing::error!(sale = self.id, sequence = read_model.sequence, "the ledger drifts: {drift}");
        }
    }

    /// The differences between the live counters and the journal.
    pub fn drift(&self) -> Option<Arc<String>> {
        self.drift.load_full()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
