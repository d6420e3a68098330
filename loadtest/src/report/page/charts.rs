//! The pictures of a run: which figures are drawn, how, and what they show in words.

mod opening;
mod stock;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::outcome::Outcome;
use crate::figures::{Figures, Latency, Slot, TimeLine};
use crate::report::page::Picture;
use crate::report::page::axis::{Axis, number};
use crate::report::page::canvas::{Canvas, LegendEntry, Sample, Shape, Size};
use crate::report::page::ink::Ink;

pub(crate) use opening::opening;
pub(crate) use stock::{Stock, stock};

/// How many arrivals were intended, started and answered, a second, over the whole run.
pub(crate) fn arrivals(figures: &Figures) -> Option<Picture> {
    let time = &figures.time;
    let all: [(&str, Ink, Vec<Rate>); 3] = [
        ("offered: meant to start", Ink::Blue, rates(time, |slot| slot.intended)),
        ("started", Ink::Green, rates(time, |slot| slot.started)),
        ("requests answered, of all kinds", Ink::Orange, rates(time, |slot| slot.answered)),
    ];
    let highest = all.iter().flat_map(|(_, _, rates)| rates).map(|rate| rate.of).fold(0.0, f64::max);
    if highest <= 0.0 {
        return None;
    }
    let (from, to) = window(time)?;
    let (mut shapes, mut legend) = (Vec::new(), Vec::new());
    for (n, (name, ink, rates)) in all.iter().enumerate() {
        let points = steps(rates);
        let sample = match n {
            // What was offered is the ground on which the others are seen.
            0 => {
                shapes.push(Shape::Area { outline: grounded(&points), ink: *ink, strength: 0.3 });
                Sample::Area(0.3)
            }
            _ => {
                shapes.push(Shape::Line { points, ink: *ink, width: 2 });
                Sample::Line(2)
            }
        };
        legend.push(LegendEntry { sample, ink: *ink, text: (*name).to_owned() });
    }
    let peak = |n: usize| {
        let (_, _, rates) = &all[n];
        rates
            .iter()
            .fold((0.0, from), |(of, at), rate| if rate.of > of { (rate.of, rate.from) } else { (of, at) })
    };
    let [(offered, at), (started, _), (answered, _)] = [peak(0), peak(1), peak(2)];
    let describes = format!(
        "Arrivals a second, {}. Offered at most {} at {}, started at most {}; requests answered at most {}.",
        span_words(from, to),
        number(offered.round()),
        moment(at),
        number(started.round()),
        number(answered.round())
    );
    let per = match time.slot_seconds {
        1 => "a second".to_owned(),
        seconds => format!("a second, mean of {seconds} s"),
    };
    let y = match quiet(&all) {
        Some((usual, least)) if usual * RUSH < highest => {
            Axis::log(least / 2.0, highest, &format!("{per}, logarithmic"))
        }
        _ => Axis::counts(0.0, highest, &per),
    };
    let mut canvas = Canvas { x: Axis::time(from, to), y, shapes, legend };
    mark_opening(&mut canvas);
    picture("Arrivals", &canvas, describes)
}

/// A rush so many times as high as the usual would leave nothing to see of that.
const RUSH: f64 = 20.0;

/// Of the rates that are not 0 the middle one, and what nine of ten are above: a run's ends are quieter than it was.
fn quiet(all: &[(&str, Ink, Vec<Rate>)]) -> Option<(f64, f64)> {
    let rates = all.iter().flat_map(|(_, _, rates)| rates).map(|rate| rate.of);
    let mut rates: Vec<f64> = rates.filter(|rate| *rate > 0.0).collect();
    rates.sort_by(f64::total_cmp);
    Some((*rates.get(rates.len() / 2)?, *rates.get(rates.len() / 10)?))
}

/// Who waits how long over time: the quicker half and all but one in a hundred, by how it ended.
pub(crate) fn latency(figures: &Figures) -> Option<Picture> {
    let time = &figures.time;
    let (from, to) = window(time)?;
    let slots_each = ((to - from) / time.slot_seconds as f64 / POINTS_MAX).ceil().max(1.0) as i64;
    let seconds = time.slot_seconds as f64 * slots_each as f64;
    let (mut shapes, mut legend, mut history) = (Vec::new(), Vec::new(), Vec::new());
    let mut ends: Option<(f64, f64)> = None;
    for group in Group::ALL {
        let slots = group.over(time, slots_each);
        let Some(worst) = slots.values().filter_map(|latency| latency.at(0.99)).max() else { continue };
        let count: u64 = slots.values().map(Latency::count).sum();
        for (quantile, width) in [(0.99, THICK), (0.5, THIN)] {
            for points in runs(&slots, seconds, quantile) {
                for (_, ms) in &points {
                    ends = Some(ends.map_or((*ms, *ms), |(low, high)| (low.min(*ms), high.max(*ms))));
                }
                shapes.push(match points.as_slice() {
                    [alone] => Shape::Dot { at: *alone, ink: group.ink(), radius: width + 1 },
                    _ => Shape::Line { points, ink: group.ink(), width },
                });
            }
        }
        let text = format!("{} ({})", group.name(), crate::report::page::grouped(count));
        legend.push(LegendEntry { sample: Sample::Line(THICK), ink: group.ink(), text });
        let all = slots.values().fold(Latency::default(), |mut all, latency| {
            all.add(latency);
            all
        });
        let words = |quantile| all.at(quantile).map(crate::base::span::words).unwrap_or_default();
        history.push(format!(
            "{}: {} taps, half within {}, 99 % within {}, the worst p99 of a moment {}",
            group.name(),
            crate::report::page::grouped(count),
            words(0.5),
            words(0.99),
            crate::base::span::words(worst)
        ));
    }
    let (lowest, highest) = ends?;
    let text = "thick: p99, thin: p50".to_owned();
    legend.push(LegendEntry { sample: Sample::None, ink: Ink::Text, text });
    let y = Axis::log(lowest, highest, "ms from the intended instant to the outcome, logarithmic");
    let mut canvas = Canvas { x: Axis::time(from, to), y, shapes, legend };
    mark_opening(&mut canvas);
    let describes = format!("How long taps waited, {}. {}.", span_words(from, to), history.join("; "));
    picture("Latency by outcome", &canvas, describes)
}

/// A line with more would be fur: a moment's quantile is worth nothing when the moment has two taps.
const POINTS_MAX: f64 = 120.0;
const THIN: u32 = 1;
const THICK: u32 = 3;

/// Outcomes that are one line: winners, losers, and each of those that are neither.
#[derive(Clone, Copy)]
enum Group {
    Winners,
    Losers,
    Other(Outcome),
}

impl Group {
    const ALL: [Group; 6] = [
        Group::Winners,
        Group::Losers,
        Group::Other(Outcome::Limited),
        Group::Other(Outcome::Shed),
        Group::Other(Outcome::Unknown),
        Group::Other(Outcome::Wrong),
    ];

    fn has(self, outcome: Outcome) -> bool {
        match self {
            Group::Winners => outcome.holds(),
            Group::Losers => outcome.lost(),
            Group::Other(other) => outcome == other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Group::Winners => "winners",
            Group::Losers => "losers",
            Group::Other(outcome) => outcome.name(),
        }
    }

    fn ink(self) -> Ink {
        match self {
            Group::Winners => Ink::Green,
            Group::Losers => Ink::Blue,
            Group::Other(Outcome::Limited) => Ink::Gold,
            Group::Other(Outcome::Shed) => Ink::Pink,
            Group::Other(Outcome::Wrong) => Ink::Red,
            Group::Other(_) => Ink::Purple,
        }
    }

    /// Its latencies by so many slots each; only those that have some.
    fn over(self, time: &TimeLine, slots_each: i64) -> BTreeMap<i64, Latency> {
        let mut over = BTreeMap::<i64, Latency>::new();
        for (number, slot) in &time.slots {
            let own =
                slot.outcomes.iter().filter(|(outcome, latency)| self.has(**outcome) && latency.count() > 0);
            for (_, latency) in own {
                over.entry(number.div_euclid(slots_each)).or_default().add(latency);
            }
        }
        over
    }
}

/// A quantile in ms over time in seconds; cut where a slot is missing, as nothing is known of it.
fn runs(slots: &BTreeMap<i64, Latency>, seconds: f64, quantile: f64) -> Vec<Vec<(f64, f64)>> {
    let mut runs = Vec::<Vec<(f64, f64)>>::new();
    let mut before = None;
    for (number, latency) in slots {
        let Some(took) = latency.at(quantile) else { continue };
        let point = ((*number as f64 + 0.5) * seconds, took.as_secs_f64() * 1000.0);
        match runs.last_mut().filter(|_| before == Some(number - 1)) {
            Some(run) => run.push(point),
            None => runs.push(vec![point]),
        }
        before = Some(*number);
    }
    runs
}

/// So many a second in a slot of time, in seconds after the opening.
struct Rate {
    from: f64,
    to: f64,
    of: f64,
}

/// Every slot's rate from the first to the last; nothing happened in those that are missing.
fn rates(time: &TimeLine, count: impl Fn(&Slot) -> u64) -> Vec<Rate> {
    let seconds = time.slot_seconds as f64;
    let (Some(first), Some(last)) = (time.slots.keys().next(), time.slots.keys().next_back()) else {
        return Vec::new();
    };
    (*first..=*last)
        .map(|number| Rate {
            from: number as f64 * seconds,
            to: (number + 1) as f64 * seconds,
            of: time.slots.get(&number).map_or(0, &count) as f64 / seconds,
        })
        .collect()
}

/// A staircase: a count belongs to its whole slot, not to an instant in it.
fn steps(rates: &[Rate]) -> Vec<(f64, f64)> {
    rates.iter().flat_map(|rate| [(rate.from, rate.of), (rate.to, rate.of)]).collect()
}

/// The line with the ground under it.
fn grounded(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return Vec::new() };
    let ground = [(*last, 0.0), (*first, 0.0)];
    points.iter().copied().chain(ground).collect()
}

/// The run, in seconds after the opening.
fn window(time: &TimeLine) -> Option<(f64, f64)> {
    let seconds = time.slot_seconds as f64;
    let (first, last) = (time.slots.keys().next()?, time.slots.keys().next_back()?);
    Some((*first as f64 * seconds, (*last + 1) as f64 * seconds))
}

/// A line at the opening, if it is in the picture.
fn mark_opening(canvas: &mut Canvas) {
    if canvas.x.holds(0.0) {
        canvas.shapes.push(Shape::Mark { x: 0.0, ink: Ink::Mark, width: 1 });
        let text = "the opening".to_owned();
        canvas.legend.push(LegendEntry { sample: Sample::Mark(1), ink: Ink::Mark, text });
    }
}

fn picture(title: &str, canvas: &Canvas, describes: String) -> Option<Picture> {
    Some(Picture {
        title: title.to_owned(),
        svg: canvas.svg(Size::WIDE)?,
        narrow: canvas.svg(Size::NARROW)?,
        describes,
    })
}

/// `from 30 s before the opening to 90 s after the opening`.
fn span_words(from: f64, to: f64) -> String {
    format!("from {} to {}", moment(from), moment(to))
}

/// `30 s before the opening`; the instant is in seconds.
fn moment(seconds: f64) -> String {
    let span = match seconds.abs() {
        long if long >= 2.0 * 3600.0 => format!("{} h", number((long / 360.0).round() / 10.0)),
        long if long >= 120.0 => format!("{} min", number((long / 6.0).round() / 10.0)),
        whole if whole.fract() == 0.0 => format!("{whole} s"),
        short => crate::base::span::words(Duration::try_from_secs_f64(short).unwrap_or_default()),
    };
    match seconds {
        0.0 => "the opening".to_owned(),
        before if before < 0.0 => format!("{span} before the opening"),
        _ => format!("{span} after the opening"),
    }
}
