//! Counts over all histories of a run what the notes of its verdict say, in one pass.

use std::collections::{BTreeMap, HashSet};

use crate::base::failure::Failure;
use crate::base::outcome::Outcome;
use crate::load::history::Step;
use crate::load::history::packed::PackedHistories;
use crate::proof::ledger::Change;

/// What the histories add up to.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The buyers of unknown outcomes, in order.
    pub(super) unknown: Vec<String>,
    /// Keys that were shown reservations which the journal has from before the run.
    older: usize,
    confirms: Refused,
    cancels: Refused,
    amendments: Refused,
}

/// How many requests were refused, by why.
type Refused = BTreeMap<String, usize>;

impl Survey {
    pub(super) fn of(
        history: &PackedHistories,
        changes: &[Change],
        started_after: u64,
    ) -> Result<Survey, Failure> {
        let older = changes.iter().take_while(|change| change.sequence <= started_after);
        let older: HashSet<&str> = older.map(Change::reservation).collect();
        let mut survey = Survey::default();
        history.each(|history| {
            survey.older += usize::from(history.holds.iter().any(|hold| older.contains(hold.id.as_str())));
            count_refused(&mut survey.confirms, history.confirm);
            count_refused(&mut survey.cancels, history.cancel);
            history.amends.into_iter().for_each(|amend| count_refused(&mut survey.amendments, amend.step));
            survey.unknown.extend((history.outcome == Some(Outcome::Unknown)).then_some(history.buyer));
        })?;
        Ok(survey)
    }

    /// How many of the unknown outcomes are of buyers with a reservation of the run.
    pub(super) fn unknown_held(&self, changes: &[Change], started_after: u64) -> usize {
        let unknown: HashSet<&str> = self.unknown.iter().map(String::as_str).collect();
        let of_the_run = changes.iter().filter(|change| change.sequence > started_after);
        let holders: HashSet<&str> =
            of_the_run.map(Change::buyer).filter(|buyer| unknown.contains(buyer)).collect();
        self.unknown.iter().filter(|buyer| holders.contains(buyer.as_str())).count()
    }

    /// The keys that were shown older reservations.
    pub(super) fn older_note(&self) -> Option<String> {
        (self.older > 0).then(|| {
            format!(
                "{} keys were shown reservations that are older than this run: the seed was used before",
                self.older
            )
        })
    }

    /// Refused confirms, whose buyers are due a refund, refused cancels and refused amendments, by why.
    pub(super) fn refused_notes(&self) -> impl Iterator<Item = String> {
        let named =
            [("confirms", &self.confirms), ("cancels", &self.cancels), ("amendments", &self.amendments)];
        named.into_iter().filter(|(_, refused)| !refused.is_empty()).map(|(name, refused)| {
            let count: usize = refused.values().sum();
            let whys: Vec<String> = refused.iter().map(|(why, count)| format!("{why} {count}")).collect();
            format!("{count} {name} were refused: {}", whys.join(", "))
        })
    }
}

fn count_refused(refused: &mut Refused, step: Step) {
    if let Step::Refused(why) = step {
        *refused.entry(why).or_default() += 1;
    }
}
