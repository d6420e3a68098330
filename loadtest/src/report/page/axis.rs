//! A picture's axes: what stands where, and which numbers are written along them.

use crate::report::page::grouped;

/// Values between two bounds, placed along a line.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    from: f64,
    to: f64,
    scale: Scale,
    pub(crate) title: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    /// In units of this size.
    Linear(f64),
    /// Two counts, one upwards and one downwards: no number has a sign.
    Mirrored,
    /// By powers of ten.
    Log,
}

/// How many steps a scale has that is made for its values.
const STEPS: f64 = 8.0;
/// Below this a latency is not measured; and there is no logarithm of 0.
const LOG_LEAST: f64 = 0.01;

impl Axis {
    /// Time in seconds after the opening, written in the unit that suits its length.
    pub(crate) fn time(from: f64, to: f64) -> Axis {
        let (unit, word) = match to - from {
            span if span <= 300.0 => (1.0, "seconds"),
            span if span <= 3.0 * 3600.0 => (60.0, "minutes"),
            _ => (3600.0, "hours"),
        };
        Axis { from, to, scale: Scale::Linear(unit), title: format!("{word} after the opening") }
    }

    /// Exactly from here to there.
    pub(crate) fn exact(from: f64, to: f64, title: &str) -> Axis {
        Axis { from, to, scale: Scale::Linear(1.0), title: title.to_owned() }
    }

    /// From 0, or what is lower, to a round number above the highest.
    pub(crate) fn counts(lowest: f64, highest: f64, title: &str) -> Axis {
        let lowest = lowest.min(0.0);
        let highest = if highest > lowest { highest.max(0.0) } else { lowest + 1.0 };
        let step = round_step((highest - lowest) / STEPS);
        let to = (highest / step - 1e-9).ceil() * step;
        Axis::exact((lowest / step).floor() * step, to, title)
    }

    /// Whole counts; 0 is the middle line: so much above and so much below.
    pub(crate) fn mirrored(above: f64, below: f64, title: &str) -> Axis {
        let axis = Axis::counts(-below.max(2.0), above.max(2.0), title);
        Axis { scale: Scale::Mirrored, ..axis }
    }

    /// By powers of ten, widened to a 1, 2 or 5 on both ends.
    pub(crate) fn log(lowest: f64, highest: f64, title: &str) -> Axis {
        let lowest = lowest.max(LOG_LEAST);
        let from = ones_twos_fives(lowest, highest).rev().find(|place| *place <= lowest).unwrap_or(LOG_LEAST);
        let to = ones_twos_fives(lowest, highest).find(|place| *place >= highest.max(from * 2.0));
        Axis { from, to: to.unwrap_or(from * 10.0), scale: Scale::Log, title: title.to_owned() }
    }

    /// Where a value stands, in the axis's own measure.
    pub(crate) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear(unit) => value / unit,
            Scale::Mirrored => value,
            // What is 0 stands on the ground.
            Scale::Log => value.max(self.from).log10(),
        }
    }

    /// Both ends, as places.
    pub(crate) fn ends(&self) -> (f64, f64) {
        (self.place(self.from), self.place(self.to))
    }

    pub(crate) fn holds(&self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }

    /// The places of at most so many round values.
    pub(crate) fn ticks(&self, most: usize) -> Vec<f64> {
        let most = most.max(2);
        let (from, to) = self.ends();
        if self.scale == Scale::Log {
            let all: Vec<f64> = ones_twos_fives(self.from, self.to)
                .filter(|value| self.holds(*value))
                .map(f64::log10)
                .collect();
            let tens = || all.iter().copied().filter(|place| (place - place.round()).abs() < 1e-9);
            return match all.len() <= most {
                true => all,
                false => tens().step_by(tens().count().div_ceil(most).max(1)).collect(),
            };
        }
        let step = round_step((to - from) / most as f64);
        let first = (from / step - 1e-9).ceil() as i64;
        let last = (to / step + 1e-9).floor() as i64;
        (first..=last).map(|n| n as f64 * step).collect()
    }

    /// What is written at a place.
    pub(crate) fn label(&self, place: f64) -> String {
        let value = match self.scale {
            Scale::Linear(_) => place,
            Scale::Mirrored => place.abs(),
            Scale::Log => 10f64.powf(place),
        };
        number(value)
    }
}

/// The next step of 1, 2 or 5 times a power of ten.
fn round_step(least: f64) -> f64 {
    let ten = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|n| n * ten)
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(ten * 10.0)
}

/// 1, 2 and 5 times every power of ten around these bounds, upwards.
fn ones_twos_fives(lowest: f64, highest: f64) -> impl DoubleEndedIterator<Item = f64> {
    let from = lowest.log10().floor() as i32;
    let to = highest.max(lowest).log10().ceil() as i32 + 1;
    (from..=to).flat_map(|power| {
        // Divided, not multiplied by 0.01, so that 0.05 is what a reader would write.
        [1.0, 2.0, 5.0].map(|n| if power < 0 { n / 10f64.powi(-power) } else { n * 10f64.powi(power) })
    })
}

/// A number in as few digits as it needs, three after the point at most: `1,200`, `0.5`, `−30`.
pub(crate) fn number(value: f64) -> String {
    let rounded = format!("{:.3}", value.abs());
    let (whole, part) = rounded.split_once('.').unwrap_or((&rounded, ""));
    let part = part.trim_end_matches('0');
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    let sign = if value < 0.0 && (whole != "0" || !part.is_empty()) { "−" } else { "" };
    let point = if part.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{part}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis, most: usize) -> Vec<String> {
        axis.ticks(most).into_iter().map(|place| axis.label(place)).collect()
    }

    #[test]
    fn time_is_written_in_the_unit_that_suits_it() {
        assert_eq!(labels(&Axis::time(-30.0, 62.0), 6), ["−20", "0", "20", "40", "60"]);
        let hours = Axis::time(-600.0, 4.0 * 3600.0);
        assert_eq!(
            (hours.title.as_str(), labels(&hours, 6).join(" ")),
            ("hours after the opening", "0 1 2 3 4".into())
        );
    }

    #[test]
    fn counts_end_at_a_round_number() {
        assert_eq!(
            labels(&Axis::counts(0.0, 4_801.0, ""), 6),
            ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]
        );
        assert_eq!(Axis::counts(0.0, 0.0, "").ends(), (0.0, 1.0));
        assert_eq!(labels(&Axis::mirrored(90.0, 60.0, ""), 6), ["50", "0", "50", "100"]);
    }

    #[test]
    fn latencies_have_a_tick_at_powers_of_ten_or_closer() {
        assert_eq!(labels(&Axis::log(0.4, 1_500.0, ""), 7), ["1", "10", "100", "1,000"]);
        assert_eq!(labels(&Axis::log(3.0, 18.0, ""), 7), ["2", "5", "10", "20"]);
        assert_eq!(labels(&Axis::log(0.05, 0.05, ""), 7), ["0.05", "0.1"]);
        assert!(Axis::log(0.0, 0.0, "").place(0.0).is_finite());
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        let written =
            [(0.0, "0"), (-0.0, "0"), (1_200.0, "1,200"), (0.30000000000000004, "0.3"), (-30.0, "−30")];
        for (value, text) in written {
            assert_eq!(number(value), text);
        }
    }
}
