//! Replays the journal into the free stock of each item over time.

use std::collections::{BTreeMap, HashMap};

use crate::proof::ledger::{Book, Item, OperatorAction};

/// What there is of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Total {
    Of(i64),
    Unlimited,
}

impl Total {
    fn of(total: Option<u64>) -> Total {
        total.map_or(Total::Unlimited, |total| Total::Of(i64::try_from(total).unwrap_or(i64::MAX)))
    }
}

/// An item's stock: its total, where it is known, and how much of it is taken.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ItemStock {
    total: Option<Total>,
    taken: i64,
}

impl ItemStock {
    /// What is left of it; `None`: no limit, or not known.
    pub(crate) fn free(&self) -> Option<i64> {
        match self.total {
            Some(Total::Of(total)) => Some(total - self.taken),
            Some(Total::Unlimited) | None => None,
        }
    }

    /// Whether more of it could be taken, as far as is known: of an unknown total nothing is.
    pub(crate) fn is_surely_free(&self) -> bool {
        match self.total {
            Some(Total::Of(total)) => self.taken < total,
            Some(Total::Unlimited) => true,
            None => false,
        }
    }
}

/// The stock of all items while the run goes on; before it the totals are not known.
pub(crate) struct StockByItem<'a, F> {
    stock_by_item: HashMap<Item<'a>, ItemStock>,
    operator_actions: std::iter::Peekable<std::slice::Iter<'a, OperatorAction>>,
    totals_before: &'a BTreeMap<String, Option<u64>>,
    started_after: u64,
    begun: bool,
    /// The latest entry's time, in ms.
    at_ms: i64,
    /// Called for each item that an entry of the run may have changed, and for all at the start.
    seen: F,
}

impl<'a, F: FnMut(Item<'a>, i64, ItemStock)> StockByItem<'a, F> {
    pub(crate) fn new(
        operator_actions: &'a [OperatorAction],
        totals_before: &'a BTreeMap<String, Option<u64>>,
        started_after: u64,
        seen: F,
    ) -> Self {
        StockByItem {
            stock_by_item: HashMap::new(),
            operator_actions: operator_actions.iter().peekable(),
            totals_before,
            started_after,
            begun: false,
            at_ms: i64::MIN,
            seen,
        }
    }

    /// After a journal entry about reservations, with what the book then has of the items that it touched.
    pub(crate) fn entry(&mut self, book: &Book<'a>, sequence: u64, at_ms: i64, touched: &[Item<'a>]) {
        self.apply_actions_before(sequence);
        self.begin_if_after(sequence);
        self.at_ms = at_ms;
        for item in touched {
            let taken = book.taken.get(item).copied().unwrap_or_default().all();
            self.change(*item, |stock| stock.taken = i64::try_from(taken).unwrap_or(i64::MAX));
        }
    }

    /// After the last entry.
    pub(crate) fn end(mut self) {
        self.apply_actions_before(u64::MAX);
        self.begin_if_after(u64::MAX);
    }

    fn apply_actions_before(&mut self, sequence: u64) {
        while let Some(action) = self.operator_actions.next_if(|action| action.sequence() < sequence) {
            self.begin_if_after(action.sequence());
            self.at_ms = action.at.as_millisecond();
            if let (true, Some(item), Some(total)) = (self.begun, &action.item, action.total) {
                self.change(Item::named(item), |stock| stock.total = Some(Total::of(Some(total))));
            }
        }
    }

    /// The totals were read after the entry `started_after`, so they hold from that entry's time on.
    fn begin_if_after(&mut self, sequence: u64) {
        if self.begun || sequence <= self.started_after {
            return;
        }
        self.begun = true;
        for (item, total) in self.totals_before {
            self.change(Item::named(item), |stock| stock.total = Some(Total::of(*total)));
        }
    }

    fn change(&mut self, item: Item<'a>, change: impl FnOnce(&mut ItemStock)) {
        let stock = self.stock_by_item.entry(item).or_default();
        change(stock);
        if self.begun {
            (self.seen)(item, self.at_ms, *stock);
        }
    }
}

/// The times, in ms, during which something went on without interruption.
#[derive(Clone, Debug, Default)]
pub(crate) struct Intervals {
    over: Vec<(i64, i64)>,
    since: Option<i64>,
}

impl Intervals {
    /// It goes on, or it does not, from this time on. Times never run backwards.
    pub(crate) fn note(&mut self, at_ms: i64, goes_on: bool) {
        match (self.since, goes_on) {
            (None, true) => self.since = Some(at_ms),
            (Some(from), false) => {
                self.over.push((from, at_ms));
                self.since = None;
            }
            _ => {}
        }
    }

    /// Whether it went on at any moment between these.
    pub(crate) fn touch(&self, from_ms: i64, to_ms: i64) -> bool {
        let next = self.over.partition_point(|(_, ended)| *ended < from_ms);
        self.over.get(next).is_some_and(|(began, _)| *began <= to_ms)
            || self.since.is_some_and(|since| since <= to_ms)
    }

    /// The times during which both went on, until this one.
    pub(crate) fn common(&self, other: &Intervals, until_ms: i64) -> Vec<(i64, i64)> {
        let all = |of: &Intervals| -> Vec<(i64, i64)> {
            of.over.iter().copied().chain(of.since.map(|since| (since, until_ms))).collect()
        };
        let (own, other) = (all(self), all(other));
        let (mut common, mut next) = (Vec::new(), 0);
        for (from, to) in own {
            while other.get(next).is_some_and(|(_, ended)| *ended < from) {
                next += 1;
            }
            let meet = other[next..].iter().take_while(|(began, _)| *began <= to);
            let meet = meet.map(|(began, ended)| (from.max(*began), to.min(*ended).min(until_ms)));
            common.extend(meet.filter(|(from, to)| from < to));
        }
        common
    }

    /// Whether it went on all the time from one instant to another, with both of them inside.
    pub(crate) fn cover(&self, from_ms: i64, to_ms: i64) -> bool {
        if self.since.is_some_and(|since| since < from_ms) {
            return true;
        }
        let next = self.over.partition_point(|(began, _)| *began < from_ms);
        next.checked_sub(1).and_then(|last| self.over.get(last)).is_some_and(|(_, ended)| *ended > to_ms)
    }
}

#[cfg(test)]
mod tests;
