//! Replays the output of `gateway journal` entry by entry.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use testkit::journal::{self, Line};

/// What a journal leaves, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) reservations: HashMap<String, Reservation>,
    /// How many changes gateways have appended again.
    pub(crate) replayed: u64,
    /// Whether the journal has `lost` entries, where numbers may jump.
    pub(crate) has_gaps: bool,
    /// In words.
    pub(crate) broken: Vec<String>,
}

/// A reservation as the journal leaves it.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) number: u64,
    pub(crate) version: u64,
    pub(crate) model: String,
    items: Vec<String>,
    pub(crate) is_alive: bool,
    pub(crate) was_confirmed: bool,
    pub(crate) was_cancelled: bool,
    /// A late payment was refused, and stays so.
    was_refused: bool,
}

impl Ledger {
    /// Replays a journal over these totals; an item that is not among them has no limit.
    pub(crate) fn replay(journal: &str, totals: &BTreeMap<String, i64>) -> Self {
        let mut ledger = Self::default();
        let mut lines = Vec::new();
        for line in journal::parse(journal) {
            match line {
                Ok(line) => lines.push(line),
                Err(error) => ledger.broken.push(format!("a journal line can't be read: {error}")),
            }
        }
        let (mut free, mut below, mut last) = (totals.clone(), BTreeSet::new(), 0);
        for (n, line) in lines.iter().enumerate() {
            ledger.has_gaps |= line.kind == "lost";
            let replayed = &line.replayed;
            ledger.replayed += replayed.as_u64().or_else(|| replayed.as_str()?.parse().ok()).unwrap_or(0);
            if line.kind == "reserve" {
                if line.number <= last {
                    ledger
                        .broken
                        .push(format!("number {} follows number {last} at {}", line.number, line.id));
                }
                last = line.number;
            }
            ledger.apply(line, &mut free);
            // All changes of one entry happen at once.
            if lines.get(n + 1).is_none_or(|next| next.id != line.id) {
                for (item, left) in free.iter().filter(|(_, left)| **left < 0) {
                    if below.insert(item.clone()) {
                        ledger.broken.push(format!("{item} is {left} at {}", line.id));
                    }
                }
            }
        }
        ledger
    }

    fn apply(&mut self, line: &Line, free: &mut BTreeMap<String, i64>) {
        let kinds = ["reserve", "amend", "confirm", "cancel", "expire", "refuse"];
        let changes = kinds.contains(&line.kind.as_str());
        if !changes {
            return;
        }
        let mut count = |items: &[String], by: i64| {
            for item in items {
                if let Some(left) = free.get_mut(item) {
                    *left += by;
                }
            }
        };
        let before = self.reservations.get(&line.reservation);
        let is_allowed = |before: &Reservation| {
            // A late payment takes it again, or is refused.
            let is_payment = matches!(line.kind.as_str(), "confirm" | "refuse");
            before.is_alive || (is_payment && !before.was_confirmed && !before.was_refused)
        };
        if (line.kind == "reserve") == before.is_some() || !before.is_none_or(is_allowed) {
            self.broken
                .push(format!("{} of {} at {} is not an allowed step", line.kind, line.reservation, line.id));
            return;
        }
        let mut after = before.cloned().unwrap_or_else(|| Reservation {
            number: line.number,
            version: 0,
            model: String::new(),
            items: Vec::new(),
            is_alive: true,
            was_confirmed: false,
            was_cancelled: false,
            was_refused: false,
        });
        if after.is_alive {
            count(&after.items, 1);
        }
        match line.kind.as_str() {
            "reserve" | "amend" => {
                after.version = line.version;
                after.model.clone_from(&line.model);
                let packages = line.packages.iter().map(|id| format!("package:{id}"));
                let store = line.store.iter().map(|id| format!("store:{id}"));
                after.items =
                    [format!("model:{}", line.model)].into_iter().chain(packages).chain(store).collect();
            }
            "confirm" => (after.is_alive, after.was_confirmed) = (true, true),
            kind => {
                after.is_alive = false;
                after.was_cancelled |= kind == "cancel";
                after.was_refused = kind == "refuse";
            }
        }
        if after.is_alive {
            count(&after.items, -1);
        }
        self.reservations.insert(line.reservation.clone(), after);
    }
}

#[cfg(test)]
mod tests;
