//! The audit of a draw: the steps in the journal against each other, and against the state.

use std::collections::BTreeMap;

use crate::manage::audit::Problems;
use crate::projection::snapshot::Snapshot;
use crate::store::journal::Entry;
use crate::store::keys::Keys;

/// The texts of the state that an entry `draw` sets, with its fields.
const DRAWN: [(&str, &str); 3] =
    [("draw_reveal", "reveal"), ("draw_beacon", "beacon"), ("draw_seed", "seed")];

/// The draw of the replayed journal at one sequence.
#[derive(Default)]
pub(super) struct ReplayedDraw {
    /// What the state must have: 0 for what is not here.
    state: BTreeMap<&'static str, String>,
    /// The entrants, once they are fixed.
    entrants: u64,
    /// To how many of them something was allocated, or nothing could be.
    allocated: u64,
}

impl ReplayedDraw {
    /// Applies an entry; `signed_up`: how many buyers are signed up then. After a loss there may be fewer than entrants.
    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        signed_up: u64,
        has_lost: bool,
        keys: &Keys,
        problems: &mut Problems,
    ) {
        let (key, sequence) = (keys.journal(), entry.sequence);
        let text = |name: &str| entry.field(name).unwrap_or_default().to_owned();
        let step = match entry.kind.as_str() {
            "entrants" => {
                self.entrants = entry.field("entrants").and_then(|n| n.parse().ok()).unwrap_or_default();
                let entrants = self.entrants;
                if entrants != signed_up && !has_lost {
                    problems.add(format!(
                        "{key} fixes {entrants} entrants in {sequence}-0, and {signed_up} buyers are signed up"
                    ));
                }
                self.state.extend([("entrants", text("entrants")), ("draw_root", text("root"))]);
                Some("fixed_in")
            }
            "draw" => {
                self.state.extend(DRAWN.map(|(field, name)| (field, text(name))));
                Some("drawn_in")
            }
            "allocate" if entry.field("over").is_some() => Some("allocated_in"),
            _ => None,
        };
        if let Some(field) = step
            && let Some(before) = self.state.insert(field, sequence.to_string())
        {
            problems
                .add(format!("{key} has a second entry `{}` in {sequence}-0, after {before}-0", entry.kind));
        }
        if let Some(allocated) = entry.field("allocated") {
            let (entrants, before) = (self.entrants, self.allocated);
            match allocated.parse() {
                Ok(allocated) if (before..=entrants).contains(&allocated) => self.allocated = allocated,
                _ => problems.add(format!(
                    "{key} has {allocated} allocated entrants in {sequence}-0, expected {before} to {entrants}"
                )),
            }
        }
    }

    /// Compares the state with the replayed journal.
    pub(super) fn compare(&self, snapshot: &Snapshot, problems: &mut Problems) {
        let zeros = ["entrants", "fixed_in", "drawn_in", "allocated_in"].map(|field| (field, "0"));
        let replayed = self.state.iter().map(|(field, text)| (*field, text.as_str()));
        let allocated = self.allocated.to_string();
        let expected = zeros.into_iter().chain(replayed).chain([("allocated", allocated.as_str())]);
        for (field, expected) in expected.collect::<BTreeMap<&str, &str>>() {
            let found = snapshot.state.get(field).map_or("0", String::as_str);
            if found != expected {
                problems.add(format!("the state has {found} in {field}, the journal {expected}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
