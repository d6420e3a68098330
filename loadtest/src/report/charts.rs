//! Turns the figures of a run and its stock over time into the charts of its page, which `charts.js` draws.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::slice;
use std::time::Duration;

use serde_json::{Value, json};

use crate::base::outcome::Outcome;
use crate::base::span::{self, ms};
use crate::figures::{Figures, Latency, OPENING_BIN, OPENING_FROM, Opening, Slot, TimeLine};
use crate::report::page::grouped;

/// By item: from when on (ms after the opening), how many were free. In the order of time.
pub(crate) type Stock = BTreeMap<String, Vec<(i64, i64)>>;

/// A linear scale would leave nothing of the usual rate beside one that is so many times as high.
const RUSH: f64 = 20.0;
/// A quantile of two taps means nothing: moments are joined until at most these remain.
const MOMENTS_MAX: i64 = 120;
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
    let Figures { time, opening, .. } = figures;
    let all = [opening_second(opening), arrivals(time), latency(time), stock_left(time, stock)];
    all.into_iter().flatten().collect()
}

/// Taps sent stand up and answers hang down, so that neither hides the other.
fn opening_second(opening: &Opening) -> Option<Chart> {
    let bins = [("sent", &opening.sent, "blue", 1), ("answered", &opening.answered, "orange", -1)];
    let counts = || bins.iter().flat_map(|(_, bins, ..)| bins.iter());
    if counts().all(|count| *count == 0) {
        return None;
    }
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
fn arrivals(time: &TimeLine) -> Option<Chart> {
    let (first, last) = ends(time)?;
    let seconds = time.slot_seconds as f64;
    // A step lasts until the next point: the last is repeated where it ends.
    let rates = |count: fn(&Slot) -> u64| -> Vec<f64> {
        (first..=last + 1).map(|n| time.slots.get(&n.min(last)).map_or(0, count) as f64 / seconds).collect()
    };
    let all = [rates(|slot| slot.intended), rates(|slot| slot.started), rates(|slot| slot.answered)];
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

/// Outcomes that share a line: their name, the line's colour, and which they are.
type Group = (&'static str, &'static str, fn(Outcome) -> bool);

const GROUPS: [Group; 6] = [
    ("winners", "green", Outcome::holds),
    ("losers", "blue", Outcome::lost),
    ("limited", "gold", |outcome| outcome == Outcome::Limited),
    ("shed", "pink", |outcome| outcome == Outcome::Shed),
    ("unknown", "purple", |outcome| outcome == Outcome::Unknown),
    ("wrong", "red", |outcome| outcome == Outcome::Wrong),
];

/// How long taps took over time, by how they ended: the median, and all but one in a hundred.
fn latency(time: &TimeLine) -> Option<Chart> {
    let (first, last) = ends(time)?;
    let joined = (last - first) / MOMENTS_MAX + 1;
    let moments = first.div_euclid(joined)..=last.div_euclid(joined);
    let (mut series, mut worst) = (Vec::new(), Vec::new());
    for (name, colour, has) in GROUPS {
        let mut latencies = BTreeMap::<i64, Latency>::new();
        for (number, slot) in &time.slots {
            for (_, latency) in slot.outcomes.iter().filter(|(outcome, _)| has(**outcome)) {
                latencies.entry(number.div_euclid(joined)).or_default().add(latency);
            }
        }
        let Some(p99) = latencies.values().filter_map(|latency| latency.at(0.99)).max() else { continue };
        worst.push(format!("{name} {}", span::words(p99)));
        let count = grouped(latencies.values().map(Latency::count).sum());
        let p99 = (0.99, format!("{name} p99 ({count})"), "line");
        for (quantile, label, style) in [p99, (0.5, format!("{name} p50"), "dashed")] {
            let at = |moment| latencies.get(&moment)?.at(quantile).map(|took| ms(took).max(MS_LEAST));
            let values: Vec<Option<f64>> =
                [None].into_iter().chain(moments.clone().map(at)).chain([None]).collect();
            series.push(json!({ "label": label, "colour": colour, "style": style, "values": values }));
        }
    }
    let slot = time.slot_seconds as f64;
    let seconds = slot * joined as f64;
    let middles = moments.map(|moment| (moment as f64 + 0.5) * seconds);
    // From the beginning to the end, as the other charts.
    let x = [first as f64 * slot].into_iter().chain(middles).chain([(last + 1) as f64 * slot]);
    let data = json!({
        "y": "ms from the intended instant to the outcome, logarithmic", "unit": " ms", "scale": "log",
        "x": x.collect::<Vec<_>>(), "marks": [(0, "opening")],
        "series": series,
    });
    let summary = format!("The worst p99 of {seconds} s: {}.", worst.join(", "));
    (!worst.is_empty()).then_some(Chart { title: "Latency by outcome", summary, data })
}

/// What was free of each item. The items that changed most have a line each, the others are one.
fn stock_left(time: &TimeLine, stock: &Stock) -> Option<Chart> {
    let mut items: Vec<_> = stock.iter().filter(|(_, points)| !points.is_empty()).collect();
    items.sort_by_key(|(_, points)| {
        let free = || points.iter().map(|(_, free)| *free);
        let (least, most) = (free().min().unwrap_or(0), free().max().unwrap_or(0));
        Reverse((most - least, most))
    });
    let instants = || items.iter().flat_map(|(_, points)| points.iter()).map(|(at, _)| *at);
    let (first, last) = (instants().min()?, instants().max()?);
    let slot = time.slot_seconds as i64 * 1000;
    // Stock may return after the run; entries before the run only set the start.
    let (from, to) = ends(time).map_or((first, last), |(from, to)| (from * slot, last.max((to + 1) * slot)));
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

/// The first and the last slot.
fn ends(time: &TimeLine) -> Option<(i64, i64)> {
    Some((*time.slots.keys().next()?, *time.slots.keys().next_back()?))
}

fn signed(count: i64) -> String {
    let sign = if count < 0 { "−" } else { "" };
    format!("{sign}{}", grouped(count.unsigned_abs()))
}

#[cfg(test)]
mod tests;
