//! The picture of the stock running down: what was free of each item, over time.

use std::collections::BTreeMap;

use crate::figures::Figures;
use crate::report::page::Picture;
use crate::report::page::axis::{Axis, number};
use crate::report::page::canvas::{Canvas, LegendEntry, Sample, Shape};
use crate::report::page::charts::{mark_opening, picture, span_words, window};
use crate::report::page::ink::Ink;

/// By item: from when on (ms after the opening), how many were free. In the order of time.
pub(crate) type Stock = BTreeMap<String, Vec<(i64, i64)>>;

/// Lines of their own; the rest is one line.
const ITEMS_MAX: usize = 8;
/// When the fullest item has so many times the stock of the emptiest, the one would flatten the other: shares are
/// drawn then.
const UNLIKE: i64 = 10;
/// A line has at most two points for each of these parts of the time: more than any screen shows.
const PARTS: i64 = 1_000;

/// What is drawn of one item, or of several together.
struct Line {
    name: String,
    /// In the order of time, not empty.
    points: Vec<(i64, i64)>,
    ink: Ink,
}

/// The items that changed most have a line each; stores by the thousand are one.
pub(crate) fn stock(figures: &Figures, stock: &Stock) -> Option<Picture> {
    let lines = lines(stock);
    let (from, to) = bounds(figures, &lines)?;
    let most = |line: &Line| line.points.iter().map(|(_, free)| *free).max().unwrap_or(0);
    let fullest = lines.iter().map(most).max().unwrap_or(0);
    let emptiest = lines.iter().map(most).filter(|most| *most > 0).min().unwrap_or(0);
    let shares = fullest >= emptiest.saturating_mul(UNLIKE) && emptiest > 0;

    let (mut shapes, mut legend, mut history) = (Vec::new(), Vec::new(), Vec::new());
    let (mut lowest, mut highest) = (0.0_f64, 0.0_f64);
    for line in &lines {
        let whole = most(line).max(1) as f64;
        let value = |free: i64| if shares { free as f64 / whole * 100.0 } else { free as f64 };
        let thinned = thinned(&line.points, from, to);
        let (Some((_, first)), Some((_, last))) = (thinned.first(), thinned.last()) else { continue };
        let mut points = Vec::<(f64, f64)>::new();
        for (at, free) in &thinned {
            let (x, y) = (*at as f64 / 1000.0, value(*free));
            (lowest, highest) = (lowest.min(y), highest.max(y));
            // Nothing changes until it does.
            points.extend(points.last().map(|(_, before)| (x, *before)));
            points.push((x, y));
        }
        points.extend(points.last().map(|(_, y)| (to as f64 / 1000.0, *y)));
        shapes.push(Shape::Line { points, ink: line.ink, width: 2 });
        let text = format!("{}: {} → {}", line.name, number(*first as f64), number(*last as f64));
        history.push(text.clone());
        legend.push(LegendEntry { sample: Sample::Line(2), ink: line.ink, text });
    }

    let (from, to) = (from as f64 / 1000.0, to as f64 / 1000.0);
    let y = match shares {
        true => Axis::counts(lowest, highest, "free, % of the most that it had"),
        // Nobody has half a car: no ticks between 0 and 1.
        false => Axis::counts(lowest, highest.max(5.0), "free"),
    };
    let mut canvas = Canvas { x: Axis::time(from, to), y, shapes, legend };
    mark_opening(&mut canvas);
    let describes = format!("Free stock, {}. {}.", span_words(from, to), history.join("; "));
    picture("Stock running down", &canvas, describes)
}

/// Those that changed most first, then those that had most; all others summed.
fn lines(stock: &Stock) -> Vec<Line> {
    let mut items: Vec<(&String, &Vec<(i64, i64)>)> =
        stock.iter().filter(|(_, points)| !points.is_empty()).collect();
    items.sort_by_cached_key(|(_, points)| {
        let free = || points.iter().map(|(_, free)| *free);
        let (lowest, highest) = (free().min().unwrap_or(0), free().max().unwrap_or(0));
        (std::cmp::Reverse(highest - lowest), std::cmp::Reverse(highest))
    });
    let others = items.split_off(items.len().min(ITEMS_MAX));
    let mut lines: Vec<Line> = items
        .into_iter()
        .zip(Ink::SERIES)
        .map(|((name, points), ink)| Line { name: name.clone(), points: points.clone(), ink })
        .collect();
    if !others.is_empty() {
        let name = format!("{} others together", crate::report::page::grouped(others.len() as u64));
        let points = summed(others.into_iter().map(|(_, points)| points));
        lines.push(Line { name, points, ink: Ink::Grey });
    }
    lines
}

/// The sum over time. Before an item's first point it is taken to have had what it had then.
fn summed<'a>(items: impl Iterator<Item = &'a Vec<(i64, i64)>>) -> Vec<(i64, i64)> {
    let mut changes = BTreeMap::<i64, i64>::new();
    let mut sum = 0;
    for points in items {
        sum += points.first().map_or(0, |(_, free)| *free);
        if let Some((at, _)) = points.first() {
            changes.entry(*at).or_default();
        }
        for pair in points.windows(2) {
            let [(_, before), (at, free)] = pair else { continue };
            *changes.entry(*at).or_default() += free - before;
        }
    }
    changes
        .into_iter()
        .map(|(at, change)| {
            sum += change;
            (at, sum)
        })
        .collect()
}

/// The run's time, or longer if stock came back after it; what was before the run only says how it began. In ms.
fn bounds(figures: &Figures, lines: &[Line]) -> Option<(i64, i64)> {
    let first = lines.iter().filter_map(|line| line.points.first()).map(|(at, _)| *at).min()?;
    let last = lines.iter().filter_map(|line| line.points.last()).map(|(at, _)| *at).max()?;
    let (from, to) = match window(&figures.time) {
        Some((from, to)) => ((from * 1000.0) as i64, ((to * 1000.0) as i64).max(last)),
        None => (first, last),
    };
    // A picture of no length can't be drawn.
    Some((from, to.max(from + 1000)))
}

/// The points from here to there, few enough to draw: of each part of the time the lowest and the last.
fn thinned(points: &[(i64, i64)], from: i64, to: i64) -> Vec<(i64, i64)> {
    let before = points.iter().rev().find(|(at, _)| *at < from).or(points.first());
    let mut thinned: Vec<(i64, i64)> = before.map(|(_, free)| (from, *free)).into_iter().collect();
    let part = |at: i64| (at - from) * PARTS / (to - from).max(1);
    let within: Vec<(i64, i64)> = points.iter().copied().filter(|(at, _)| (from..=to).contains(at)).collect();
    for points in within.chunk_by(|a, b| part(a.0) == part(b.0)) {
        let lowest = points.iter().min_by_key(|(_, free)| *free);
        let last = points.last();
        thinned.extend(lowest.filter(|lowest| Some(*lowest) != last));
        thinned.extend(last);
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, points: &[(i64, i64)]) -> (String, Vec<(i64, i64)>) {
        (name.to_owned(), points.to_vec())
    }

    #[test]
    fn the_items_that_changed_least_are_summed() {
        let mut all: Stock = (0..10).map(|n| item(&format!("store:{n}"), &[(0, 20), (n, 10 - n)])).collect();
        all.extend([item("store:still", &[(0, 500)])]);
        let lines = lines(&all);
        assert_eq!(lines.len(), ITEMS_MAX + 1);
        assert_eq!(lines[0].name, "store:9");
        assert_eq!((lines[8].name.as_str(), lines[8].points.last()), ("3 others together", Some(&(1, 519))));
    }

    #[test]
    fn a_sum_changes_with_each_part() {
        let sum = summed([vec![(0, 5), (10, 4)], vec![(5, 7), (10, 6), (20, 7)]].iter());
        assert_eq!(sum, [(0, 12), (5, 12), (10, 10), (20, 11)]);
    }

    #[test]
    fn thinning_keeps_the_beginning_the_lowest_and_the_end() {
        let many: Vec<(i64, i64)> =
            (-100..100_000).map(|n| (n, if n == 5_055 { 0 } else { 7 + n.max(0) })).collect();
        let few = thinned(&many, 0, 100_000);
        assert!(few.len() <= 2 * PARTS as usize + 2);
        assert_eq!((few.first(), few.last()), (Some(&(0, 7)), Some(&(99_999, 100_006))));
        assert!(few.contains(&(5_055, 0)));
        assert!(few.is_sorted_by_key(|(at, _)| *at));
    }
}
