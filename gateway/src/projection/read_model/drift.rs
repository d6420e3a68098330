//! Compares Redis's live counters with the journal, at the same sequence.

use std::sync::Arc;

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
        let differing = counters
            .free
            .iter()
            .enumerate()
            .find(|(place, live)| **live != read_model.free.get(*place).copied());
        let drift = if let Some((place, live)) = differing {
            let item = read_model.catalogue.items().get(place).map_or("", |item| item.name.as_str());
            let shown = |n: Option<i64>| n.map_or_else(|| "no number".to_owned(), |n| n.to_string());
            let journal = shown(read_model.free.get(place).copied());
            Some(format!("the counter of {item} is {}, the journal has {journal}", shown(*live)))
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
