//! Compares the odds that were shown to those who waited with what became of them.

use crate::load::history::waiting::{ShownPlace, Waiting};
use crate::proof::reconcile::Facts;
use crate::proof::reconcile::waiting::queues::PlaceEnd;
use crate::proof::rules::{Rule, Violation};

/// All odds that were shown for places whose end is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ShownOdds {
    all: Tally,
    /// Those that were shown when half a hold was over: before, only the quickest have paid, and all guess.
    later: Tally,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    places: u64,
    granted: u64,
    /// Of each place, the mean of what was shown.
    sum: f64,
}

/// How many are granted is chance, too: of 2,000 places of which a fifth is granted, the share has a standard deviation of
/// 1.3 points.
const PLACES_MIN: u64 = 2_000;
/// By how much the mean of the odds may miss the share.
const MISS_MAX: f64 = 0.05;

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
        let input = facts.input;
        let before = input.changes.partition_point(|change| change.sequence <= input.started_after);
        let of_the_run = input.changes.get(before);
        let half = i64::try_from(input.terms.hold.as_millis() / 2).unwrap_or(i64::MAX / 4);
        let later_ms = of_the_run.map_or(i64::MAX, |first| first.at.as_millisecond().saturating_add(half));
        let asked_ms = |shown: &ShownPlace| shown.exchanged.map_or(0, |(asked, _)| asked.as_millisecond());
        let shown = || {
            let here = waiting.places.iter().filter(|shown| shown.state == "waiting" && shown.model == model);
            here.filter_map(move |shown| Some((asked_ms(shown), shown.odds?)))
        };
        self.all.add(is_granted, shown().map(|(_, odds)| odds));
        self.later.add(is_granted, shown().filter(|(asked, _)| *asked >= later_ms).map(|(_, odds)| odds));
    }

    /// In words, how they came true; `None` without any.
    pub(crate) fn words(self) -> Option<String> {
        (self.all.places > 0).then(|| self.all.words())
    }

    pub(crate) fn check(self, found: &mut Vec<Violation>) {
        let Tally { places, granted, sum } = self.later;
        let miss = (sum - granted as f64).abs() / places.max(1) as f64;
        if places >= PLACES_MIN && miss > MISS_MAX {
            let what = format!("from half a hold after the first reservation on, {}", self.later.words());
            found.push(Violation { rule: Rule::OddsCameTrue, buyer: None, reservation: None, what });
        }
    }
}

impl Tally {
    fn add(&mut self, is_granted: bool, shown: impl Iterator<Item = f64>) {
        let (count, sum) = shown.fold((0_u32, 0.0), |(count, sum), odds| (count + 1, sum + odds));
        if count > 0 {
            self.places += 1;
            self.granted += u64::from(is_granted);
            self.sum += sum / f64::from(count);
        }
    }

    fn words(self) -> String {
        let Tally { places, granted, sum } = self;
        let percent = |sum: f64| 100.0 * sum / places as f64;
        format!(
            "{places} places were shown odds of {:.1} % on average, and {:.1} % were granted",
            percent(sum),
            percent(granted as f64)
        )
    }
}
