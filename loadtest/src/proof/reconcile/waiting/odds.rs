//! Compares the odds that were shown to those who waited with what became of them.

use crate::load::history::waiting::Waiting;
use crate::proof::reconcile::Facts;
use crate::proof::reconcile::waiting::queues::PlaceEnd;

/// All odds that were shown for places whose end is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShownOdds {
    places: u64,
    granted: u64,
    /// Of each place, the mean of what was shown.
    sum: f64,
}

impl ShownOdds {
    /// Notes what a buyer was shown, where all holds of the model are over. A place counts as granted that was, or that would
    /// have been if its buyer had not left it.
    pub(crate) fn note(&mut self, facts: &Facts<'_>, buyer: &str, waiting: &Waiting) {
        let Some(place) = facts.queues.last_place(buyer) else { return };
        let model = place.model();
        if facts.book.taken(&format!("model:{model}")).held > 0 || place.end == PlaceEnd::Skipped {
            return;
        }
        let is_granted = matches!(place.end, PlaceEnd::Granted(_)) || facts.queues.would_be_granted(place);
        let shown: Vec<f64> = waiting
            .places
            .iter()
            .filter(|shown| shown.state == "waiting" && shown.model == model)
            .filter_map(|shown| shown.odds)
            .collect();
        if shown.is_empty() {
            return;
        }
        self.places += 1;
        self.granted += u64::from(is_granted);
        self.sum += shown.iter().sum::<f64>() / shown.len() as f64;
    }

    /// In words, how they came true; `None` without any.
    pub(crate) fn words(self) -> Option<String> {
        let ShownOdds { places, granted, sum } = self;
        let percent = |sum: f64| 100.0 * sum / places as f64;
        (places > 0).then(|| {
            format!(
                "{places} places were shown odds of {:.1} % on average, and {:.1} % were granted",
                percent(sum),
                percent(granted as f64)
            )
        })
    }
}
