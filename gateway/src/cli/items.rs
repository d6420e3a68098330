//! Items of a sale as lines of a table, for `gateway audit` and `gateway sale show`.

use crate::manage::audit::{Counts, ItemReport};

/// An item's numbers. Without a limit it has neither total nor free units.
pub(super) struct ItemRow<'a> {
    pub(super) item: &'a str,
    pub(super) total: Option<i64>,
    pub(super) free: Option<i64>,
    /// Held and confirmed; `None`: unknown.
    pub(super) taken: Option<[i64; 2]>,
}

/// Whether an item is a store's slots.
pub(super) fn is_store(item: &str) -> bool {
    item.starts_with("store:")
}

/// The names of the columns.
pub(super) fn header() -> String {
    format!("{:<40} {:>9} {:>9} {:>9} {:>9}", "item", "total", "free", "held", "confirmed")
}

/// Reservations by state, in words.
pub(super) fn reservations(counts: &Counts) -> String {
    let Counts { held, confirmed, cancelled, expired } = counts;
    format!("{held} held, {confirmed} confirmed, {cancelled} cancelled, {expired} expired")
}

impl<'a> ItemRow<'a> {
    pub(super) fn of(item: &'a ItemReport) -> Self {
        let ItemReport { item, total, free, held, confirmed, .. } = item;
        Self { item, total: *total, free: *free, taken: Some([*held, *confirmed]) }
    }

    pub(super) fn line(&self) -> String {
        line(self.item, self.total, self.free, self.taken)
    }
}

fn line(name: &str, total: Option<i64>, free: Option<i64>, taken: Option<[i64; 2]>) -> String {
    let dash = |n: Option<i64>| n.map_or("-".to_owned(), |n| n.to_string());
    let [held, confirmed] = taken.map_or([None; 2], |taken| taken.map(Some)).map(dash);
    format!("{name:<40} {:>9} {:>9} {held:>9} {confirmed:>9}", dash(total), dash(free))
}

/// The stores among these as one line, and those without a limit as one more: they can't be part of the sum.
pub(super) fn stores(rows: &[ItemRow<'_>]) -> Vec<String> {
    let (limited, unlimited): (Vec<&ItemRow<'_>>, Vec<_>) =
        rows.iter().filter(|row| is_store(row.item)).partition(|row| row.total.is_some());
    let mut lines = Vec::new();
    for (stores, what) in [(limited, "stores together"), (unlimited, "stores without a limit")] {
        if !stores.is_empty() {
            let sum =
                |of: fn(&ItemRow<'_>) -> Option<i64>| stores.iter().map(|row| of(row)).sum::<Option<i64>>();
            let taken =
                sum(|row| row.taken.map(|[held, _]| held)).zip(sum(|row| row.taken.map(|[_, paid]| paid)));
            let name = format!("{} {what}", stores.len());
            let taken = taken.map(|(held, confirmed)| [held, confirmed]);
            lines.push(line(&name, sum(|row| row.total), sum(|row| row.free), taken));
        }
    }
    lines
}
