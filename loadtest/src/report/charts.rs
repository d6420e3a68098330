//! Turns the figures of a run and its stock over time into the charts of its page, which `charts.js` draws.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::outcome::Outcome;
use crate::base::span::{self, ms};
use crate::figures::{Figures, Latency, OPENING_BIN, OPENING_FROM, Opening, Second, Started, TimeLine};
use crate::report::page::grouped;

/// By item: from when on (ms after the opening), how many were free. In the order of time.
pub(crate) type Stock = BTreeMap<String, Vec<(i64, i64)>>;

/// A linear scale would leave nothing of the usual rate beside one that is so many times as high.
const RUSH: f64 = 20.0;
/// A quantile of two taps means nothing: moments are joined until at most these remain.
const MOMENTS_MAX: i64 = 120;
/// Of the chart of arrivals.
const SECONDS_MAX: i64 = 600;
/// Items with a line of their own; the others are one line.
const ITEMS_MAX: usize = 8;
const COLOURS: [&str; ITEMS_MAX] = ["blue", "orange", "green", "purple", "red", "teal", "gold", "pink"];
/// When the fullest line has so many times the stock of the emptiest, shares are drawn.
const UNLIKE: i64 = 10;
/// Points of a line of stock: as many as a screen shows.
const PARTS: i64 = 500;
/// Latencies below are not measured, and 0 has no logarithm.
const MS_LEAST: f64 = 0.01;

/// What stands below one heading of the page.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What there is to see, in words.
    pub(crate) summary: String,
    /// What `charts.js` draws, and describes.
    pub(crate) data: Value,
}

/// Those that have something to show.
pub(crate) fn charts(figures: &Figures, stock: &Stock) -> Vec<Chart> {
    let seconds = happened(&figures.seconds);
    let ends = seconds.ends();
    let latencies = |named| ends.and_then(|ends| latency(&figures.time, ends, named));
    let all = [
        opening_second(&figures.opening),
        arrivals(&seconds),
        latencies(OF_JOURNEYS),
        latencies(OF_OUTCOMES),
        stock_left(ends, stock),
    ];
    all.into_iter().flatten().collect()
}

/// Without the seconds at the end for which something was only intended: a run that ended early is drawn until its end.
fn happened(seconds: &TimeLine<Second>) -> TimeLine<Second> {
    let mut happened = seconds.clone();
    while let Some(last) = happened.slots.last_entry().filter(|last| last.get().is_idle()) {
        last.remove();
    }
    happened
}

/// Taps sent stand up and answers hang down, so that neither hides the other.
fn opening_second(opening: &Opening) -> Option<Chart> {
    let bins = [("sent", &opening.sent, "blue", 1), ("answered", &opening.answered, "orange", -1)];
    // Else the instant means nothing: the work just started then.
    opening.first?;
    let [sent, answered] = bins.map(|(_, bins, ..)| grouped(bins.iter().copied().max().unwrap_or(0).into()));
    let mut summary = format!(
        "Taps in each 10 ms, from half a second before the opening to two seconds after it: at most {sent} sent and \
         {answered} answered."
    );
    let mut marks = Vec::new();
    for (name, us) in [("first tap", opening.first), ("last tap", opening.last)] {
        let Some(us) = us else { continue };
        let side = if us < 0 { "before" } else { "after" };
        let away = span::words(Duration::from_micros(us.unsigned_abs()));
        summary += &format!(" The {name} left {away} {side} the opening.");
        marks.push((us as f64 / 1000.0, name));
    }
    let series = bins.map(|(name, bins, colour, sign)| {
        let label = format!("{name} ({})", grouped(bins.iter().copied().map(u64::from).sum()));
        let values: Vec<i64> = bins.iter().map(|count| i64::from(*count) * sign).collect();
        json!({ "label": label, "colour": colour, "style": "area", "values": values })
    });
    let begins = (0..opening.sent.len()).map(|n| n as f64 * ms(OPENING_BIN) - ms(OPENING_FROM));
    let data = json!({
        "y": "taps in 10 ms: sent upwards, answered downwards", "unit": "", "scale": "mirrored",
        "x": begins.collect::<Vec<_>>(), "marks": marks, "series": series,
    });
    Some(Chart { title: "The opening second", summary, data })
}

/// How many arrivals were intended and started, and how many requests were answered, a second.
fn arrivals(seconds: &TimeLine<Second>) -> Option<Chart> {
    let time = seconds.joined(SECONDS_MAX);
    let (first, last) = (*time.slots.keys().next()?, *time.slots.keys().next_back()?);
    let seconds = time.slot_seconds as f64;
    // A step lasts until the next point: the last is repeated where it ends.
    let rates = |count: fn(&Second) -> u64| -> Vec<f64> {
        (first..=last + 1).map(|n| time.slots.get(&n.min(last)).map_or(0, count) as f64 / seconds).collect()
    };
    let all =
        [rates(|second| second.intended), rates(|second| second.started), rates(|second| second.answered)];
    let mut seen: Vec<f64> = all.iter().flatten().copied().filter(|rate| *rate > 0.0).collect();
    seen.sort_by(f64::total_cmp);
    let has_rush = *seen.get(seen.len() / 2)? * RUSH < *seen.last()?;
    let [offered, started, answered] =
        all.each_ref().map(|rates| grouped(rates.iter().copied().fold(0.0, f64::max).round() as u64));
    let summary = format!(
        "From {} s to {} s after the opening: offered at most {offered} a second, started at most {started}; requests \
         answered at most {answered}.",
        first as f64 * seconds,
        (last + 1) as f64 * seconds
    );
    let mean = if time.slot_seconds > 1 { format!(", mean of {seconds} s") } else { String::new() };
    let [offered, started, answered] = all;
    let data = json!({
        "y": format!("a second{mean}{}", if has_rush { ", logarithmic" } else { "" }), "unit": "/s",
        "scale": if has_rush { "asinh" } else { "linear" },
        "x": (first..=last + 1).map(|n| n as f64 * seconds).collect::<Vec<_>>(), "marks": [(0, "opening")],
        "series": [
            { "label": "offered: meant to start", "colour": "blue", "style": "area", "values": offered },
            { "label": "started", "colour": "green", "style": "steps", "values": started },
            { "label": "requests answered, of all kinds", "colour": "orange", "style": "steps", "values": answered },
        ],
    });
    Some(Chart { title: "Arrivals", summary, data })
}

/// Latencies that share a line: their name, the line's colour, and what they are of a slot.
type Group = (&'static str, &'static str, fn(&Started) -> Latency);

/// A chart of latencies by the intended start.
struct Latencies {
    title: &'static str,
    what: &'static str,
    groups: &'static [Group],
}

const OF_JOURNEYS: Latencies = Latencies {
    title: "Latency of journeys",
    what: "the end of the journey, without its buyer's pauses",
    groups: &[("journeys", "teal", |started| started.journeys.clone())],
};

const OF_OUTCOMES: Latencies = Latencies {
    title: "Latency by outcome",
    what: "the outcome of the tap",
    groups: &[
        ("winners", "green", |started| of(started, Outcome::holds)),
        ("losers", "blue", |started| of(started, Outcome::lost)),
        ("limited", "gold", |started| of(started, |outcome| outcome == Outcome::Limited)),
        ("shed", "pink", |started| of(started, |outcome| outcome == Outcome::Shed)),
        ("unknown", "purple", |started| of(started, |outcome| outcome == Outcome::Unknown)),
        ("wrong", "red", |started| of(started, |outcome| outcome == Outcome::Wrong)),
    ],
};

fn of(started: &Started, is_of_group: fn(Outcome) -> bool) -> Latency {
    let mut all = Latency::default();
    for (_, latency) in started.outcomes.iter().filter(|(outcome, _)| is_of_group(**outcome)) {
        all.add(latency);
    }
    all
}

/// How long it took from the intended start on, by when that was: the median, and all but one in a hundred. Whatever was
/// to start while the server stood still waited for the rest of that time, so that a stop is a peak.
fn latency(time: &TimeLine<Started>, (from, to): (i64, i64), named: Latencies) -> Option<Chart> {
    let (first, last) = (*time.slots.keys().next()?, *time.slots.keys().next_back()?);
    let joined = (last - first) / MOMENTS_MAX + 1;
    let moments = first.div_euclid(joined)..=last.div_euclid(joined);
    let (mut series, mut worst) = (Vec::new(), Vec::new());
    for (name, colour, of_slot) in named.groups {
        let mut latencies = BTreeMap::<i64, Latency>::new();
        for (number, slot) in &time.slots {
            let latency = of_slot(slot);
            if latency.count() > 0 {
                latencies.entry(number.div_euclid(joined)).or_default().add(&latency);
            }
        }
        let p99s = latencies.iter().filter_map(|(moment, latency)| Some((*moment, latency.at(0.99)?)));
        let Some((moment, p99)) = p99s.max_by_key(|(_, p99)| *p99) else { continue };
        let second = moment * joined * time.slot_seconds as i64;
        worst.push(format!("{name} {} at {second} s", span::words(p99)));
        let count = grouped(latencies.values().map(Latency::count).sum());
        let p99 = (0.99, format!("{name} p99 ({count})"), "line");
        for (quantile, label, style) in [p99, (0.5, format!("{name} p50"), "dashed")] {
            let at = |moment| latencies.get(&moment)?.at(quantile).map(|took| ms(took).max(MS_LEAST));
            let values: Vec<Option<f64>> =
                [None].into_iter().chain(moments.clone().map(at)).chain([None]).collect();
            series.push(json!({ "label": label, "colour": colour, "style": style, "values": values }));
        }
    }
    let seconds = time.slot_seconds as f64 * joined as f64;
    // From the beginning to the end, as the other charts.
    let middles = moments.map(|moment| ((moment as f64 + 0.5) * seconds).clamp(from as f64, to as f64));
    let x = [from as f64].into_iter().chain(middles).chain([to as f64]);
    let data = json!({
        "y": format!("ms from the intended start to {}, logarithmic; by the intended start", named.what),
        "unit": " ms", "scale": "log",
        "x": x.collect::<Vec<_>>(), "marks": [(0, "opening")],
        "series": series,
    });
    let summary = format!("The worst p99 of {seconds} s, by the intended start: {}.", worst.join(", "));
    (!worst.is_empty()).then_some(Chart { title: named.title, summary, data })
}

/// What was free of each item. The items that changed most have a line each, the others are one.
fn stock_left(ends: Option<(i64, i64)>, stock: &Stock) -> Option<Chart> {
    let mut items: Vec<_> = stock.iter().filter(|(_, points)| !points.is_empty()).collect();
    items.sort_by_key(|(_, points)| {
        let free = || points.iter().map(|(_, free)| *free);
        let (least, most) = (free().min().unwrap_or(0), free().max().unwrap_or(0));
        Reverse((most - least, most))
    });
    let instants = || items.iter().flat_map(|(_, points)| points.iter()).map(|(at, _)| *at);
    let (first, last) = (instants().min()?, instants().max()?);
    // Stock may return after the run; entries before the run only set the start.
    let (from, to) = ends.map_or((first, last), |(from, to)| (from * 1000, last.max(to * 1000)));
    let instants: Vec<i64> = (0..=PARTS).map(|n| from + (to - from).max(PARTS) * n / PARTS).collect();

    let (own, others) = items.split_at(items.len().min(ITEMS_MAX));
    let own = own.iter().zip(COLOURS).map(|(item, colour)| (item.0.clone(), colour, slice::from_ref(item)));
    let others = (!others.is_empty()).then(|| (format!("{} others together", others.len()), "grey", others));
    let lines: Vec<(String, &str, Vec<i64>)> = own
        .chain(others)
        .map(|(name, colour, items)| {
            let ends = items.iter().filter_map(|(_, points)| Some((points.first()?.1, points.last()?.1)));
            let (begun, ended) = ends.fold((0, 0), |sum, item| (sum.0 + item.0, sum.1 + item.1));
            let label = format!("{name}: {} → {}", signed(begun), signed(ended));
            let mut free = vec![0; instants.len()];
            for (_, points) in items {
                free.iter_mut().zip(sampled(points, &instants)).for_each(|(sum, free)| *sum += free);
            }
            (label, colour, free)
        })
        .collect();

    let most = |free: &[i64]| free.iter().copied().max().unwrap_or(0);
    let highest = || lines.iter().map(|(_, _, free)| most(free));
    let emptiest = highest().filter(|most| *most > 0).min();
    let is_unlike = emptiest.is_some_and(|emptiest| highest().any(|most| most / UNLIKE >= emptiest));
    let series = lines.iter().map(|(label, colour, free)| {
        let whole = if is_unlike { most(free).max(1) } else { 100 };
        let values: Vec<f64> = free.iter().map(|free| (free * 1000 / whole) as f64 / 10.0).collect();
        json!({ "label": label, "colour": colour, "style": "steps", "values": values })
    });
    let data = json!({
        "y": if is_unlike { "free, % of the most that it had" } else { "free" },
        "unit": if is_unlike { " %" } else { "" }, "scale": "linear",
        "x": instants.iter().map(|at| *at as f64 / 1000.0).collect::<Vec<_>>(), "marks": [(0, "opening")],
        "series": series.collect::<Vec<_>>(),
    });
    let labels: Vec<&str> = lines.iter().map(|(label, ..)| label.as_str()).collect();
    let summary = format!("Free stock: {}.", labels.join("; "));
    Some(Chart { title: "Stock running down", summary, data })
}

/// At each instant the lowest that was free until the next one.
fn sampled(points: &[(i64, i64)], instants: &[i64]) -> Vec<i64> {
    let mut now = points.first().map_or(0, |(_, free)| *free);
    let mut points = points.iter().peekable();
    let until = instants.iter().skip(1).copied().chain([i64::MAX]);
    let lowest = instants.iter().zip(until).map(|(from, until)| {
        let mut lowest = None;
        while let Some((at, free)) = points.next_if(|(at, _)| *at < until) {
            now = *free;
            if at >= from {
                lowest = Some(lowest.map_or(now, |lowest: i64| lowest.min(now)));
            }
        }
        lowest.unwrap_or(now)
    });
    lowest.collect()
}

fn signed(count: i64) -> String {
    let sign = if count < 0 { "−" } else { "" };
    format!("{sign}{}", grouped(count.unsigned_abs()))
}

#[cfg(test)]
mod tests;
