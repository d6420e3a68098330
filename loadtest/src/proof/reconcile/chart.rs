//! Prepares the stock over time for a chart.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::plan::selection::SaleTerms;
use crate::proof::ledger::{Book, Item, Journal};
use crate::proof::reconcile::item_stock::StockByItem;

/// Of each item in a chart; more than it has pixels.
const POINTS_MAX: usize = 2_000;
/// While it is made: of a soak of a day there are 20 million changes of one model.
const POINTS_KEPT_MAX: usize = 1 << 20;

/// Ms after the opening, and what was free from then on.
pub(crate) type Course = Vec<(i64, i64)>;

/// The free stock of each limited model and package over the run. Long series are thinned but keep
/// their ends and extremes. A definition applied during the run is ignored: its line lists no
/// totals.
pub(crate) fn stock_over_time(
    journal: &Journal,
    terms: &SaleTerms,
    totals_before: &BTreeMap<String, Option<u64>>,
    started_after: u64,
    opening: Timestamp,
) -> BTreeMap<String, Course> {
    let opening = opening.as_millisecond();
    let mut courses: HashMap<Item<'_>, Course> = HashMap::new();
    let mut stock_by_item = StockByItem::new(
        &journal.operator_actions,
        totals_before,
        started_after,
        |item: Item<'_>, at_ms: i64, shelf| {
            let Some(free) = shelf.free().filter(|_| !item.is_store()) else {
                return;
            };
            let course = courses.entry(item).or_default();
            if course.last().is_none_or(|(_, last)| *last != free) {
                course.push((at_ms.saturating_sub(opening), free));
            }
            if course.len() == POINTS_KEPT_MAX {
                *course = thin(std::mem::take(course), POINTS_KEPT_MAX / 8);
            }
        },
    );
    Book::follow(&journal.changes, terms, u64::MAX, |book, change, touched| {
        stock_by_item.entry(book, change.sequence, change.at.as_millisecond(), touched);
    });
    stock_by_item.end();
    courses
        .into_iter()
        .map(|(item, mut course)| {
            // The first point is as old as the definition: a chart begins at the opening, or with the first change.
            let begins = course.get(1).map_or(0, |(at, _)| (*at).min(0));
            if let Some(first) = course.first_mut() {
                first.0 = begins;
            }
            (item.to_string(), thin(course, POINTS_MAX))
        })
        .collect()
}

/// Keeps of each stretch its lowest and its highest point, and the ends.
fn thin(course: Course, points_max: usize) -> Course {
    if course.len() <= points_max {
        return course;
    }
    let (Some(first), Some(last)) = (course.first().copied(), course.last().copied()) else {
        return course;
    };
    let stretches = points_max / 2 - 1;
    let mut points = vec![first];
    let inner = &course[1..course.len() - 1];
    for stretch in inner.chunks(inner.len().div_ceil(stretches)) {
        let places = 0..stretch.len();
        let low = places.clone().min_by_key(|place| stretch[*place].1).unwrap_or(0);
        let high = places.max_by_key(|place| stretch[*place].1).unwrap_or(0);
        points.push(stretch[low.min(high)]);
        if low != high {
            points.push(stretch[low.max(high)]);
        }
    }
    points.push(last);
    points
}

#[cfg(test)]
mod tests;
