//! Compares the odds that were shown to those who waited with what came back afterwards.

use crate::load::history::waiting::Waiting;
use crate::proof::reconcile::Facts;
use crate::proof::reconcile::waiting::queues::PlaceEnd;

/// All odds that were shown of models whose holds are over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShownOdds {
    places: u64,
    /// Of each place, the mean of what was shown, and the share of it for which enough came back.
    shown: f64,
    came_true: f64,
}

impl ShownOdds {
    /// Notes what a buyer was shown. Whether enough came back does not depend on whether the buyer stayed; what comes back
    /// once all have left is not known here.
    pub(crate) fn note(&mut self, facts: &Facts<'_>, buyer: &str, waiting: &Waiting) {
        let Some(place) = facts.queues.last_place(buyer) else { return };
        let model = place.model();
        if facts.book.taken(&format!("model:{model}")).held > 0 || place.end == PlaceEnd::Skipped {
            return;
        }
        let (mut count, mut sum, mut came_true) = (0_u32, 0.0, 0_u32);
        for shown in waiting.places.iter().filter(|shown| shown.model == model) {
            let (Some(odds), Some(position), Some((_, answered))) =
                (shown.odds, shown.position, shown.exchanged)
            else {
                continue;
            };
            let granted = facts.queues.granted_after(model, answered.as_millisecond());
            (count, sum, came_true) = (count + 1, sum + odds, came_true + u32::from(granted >= position));
        }
        if count > 0 {
            self.places += 1;
            self.shown += sum / f64::from(count);
            self.came_true += f64::from(came_true) / f64::from(count);
        }
    }

    /// In words, how they came true; `None` without any.
    pub(crate) fn words(self) -> Option<String> {
        let ShownOdds { places, shown, came_true } = self;
        let percent = |sum: f64| 100.0 * sum / places as f64;
        (places > 0).then(|| {
            format!(
                "{places} places were shown odds of {:.1} % on average, and for {:.1} % enough came back",
                percent(shown),
                percent(came_true)
            )
        })
    }
}
