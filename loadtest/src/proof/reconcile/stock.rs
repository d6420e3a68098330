//! The rules about stock: the audit's equation, its agreement with the journal, that nothing was oversold, and when
//! there was some to sell.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::proof::admin::AuditItem;
use crate::proof::ledger::{Book, Change, Item};
use crate::proof::reconcile::ReconcileInput;
use crate::proof::reconcile::item_stock::{Intervals, StockByItem};
use crate::proof::rules::{Rule, Violation};

/// When each item was to be had and when no hold was outstanding, by the journal's times.
pub(crate) struct Times<'a> {
    /// Checks items whose totals are known throughout.
    free: HashMap<Item<'a>, Intervals>,
    /// While at least one hold was outstanding.
    pub(crate) holds: Intervals,
    /// How often definitions were applied during the run.
    defined: usize,
    /// All that the sale had before the run or after it.
    known: HashSet<Item<'a>>,
    /// Items whose total a definition may have changed, which its line does not show.
    unsure: HashSet<Item<'a>>,
}

impl<'a> Times<'a> {
    /// Replays the journal; reports what was oversold on the way.
    pub(crate) fn replay(input: &ReconcileInput<'a>, found: &mut Vec<Violation>) -> (Times<'a>, Book<'a>) {
        let mut times = Times {
            free: HashMap::new(),
            holds: Intervals::default(),
            defined: input.actions_of_the_run().filter(|action| action.defines()).count(),
            known: known(input),
            unsure: unsure(input),
        };
        let mut oversold: HashMap<Item<'a>, i64> = HashMap::new();
        let (free, unsure) = (&mut times.free, &times.unsure);
        let mut stock_by_item = StockByItem::new(
            input.operator_actions,
            input.totals_before,
            input.started_after,
            |item, at_ms, shelf| {
                if unsure.contains(&item) {
                    return;
                }
                free.entry(item).or_insert_with(Intervals::default).note(at_ms, shelf.is_surely_free());
                if let Some(left) = shelf.free().filter(|left| *left < 0) {
                    let worst = oversold.entry(item).or_default();
                    *worst = left.min(*worst);
                }
            },
        );
        let holds = &mut times.holds;
        let book = Book::follow(input.changes, input.terms, u64::MAX, |book, change: &'a Change, touched| {
            let at_ms = change.at.as_millisecond();
            stock_by_item.entry(book, change.sequence, at_ms, touched);
            holds.note(at_ms, book.held > 0);
        });
        stock_by_item.end();
        let mut oversold: Vec<_> = oversold.into_iter().collect();
        oversold.sort_unstable();
        for (item, left) in oversold {
            let what = format!("{item}: {} more were taken than there were", -left);
            found.push(Violation { rule: Rule::NotOversold, buyer: None, reservation: None, what });
        }
        times.check_the_rest(input, &book, found);
        (times, book)
    }

    /// Whether an item was to be had all the time from one instant to another.
    pub(crate) fn was_free(&self, item: &str, from_ms: i64, to_ms: i64) -> bool {
        self.free.get(&Item::named(item)).is_some_and(|spells| spells.cover(from_ms, to_ms))
    }

    /// What follows from the times at which some of an item was not taken, if they are known.
    pub(crate) fn of_free<T>(&self, item: &str, look: impl FnOnce(&Intervals) -> T) -> Option<T> {
        self.free.get(&Item::named(item)).map(look)
    }

    /// Whether an item was sold out all the time between these, as far as is known.
    pub(crate) fn was_taken(&self, item: &str, from_ms: i64, to_ms: i64) -> bool {
        self.free.get(&Item::named(item)).is_some_and(|spells| !spells.touch(from_ms, to_ms))
    }

    /// Whether the sale had this item at all, as far as is known.
    pub(crate) fn may_have_had(&self, item: &str) -> bool {
        self.defined > 0 || self.known.contains(&Item::named(item))
    }

    /// Checks items whose totals are unknown, or not known throughout.
    fn check_the_rest(&self, input: &ReconcileInput<'_>, book: &Book<'_>, found: &mut Vec<Violation>) {
        let mut console =
            |what| found.push(Violation { rule: Rule::NotOversold, buyer: None, reservation: None, what });
        let mut items: Vec<_> = book.taken.iter().collect();
        items.sort_unstable_by_key(|(item, _)| **item);
        for (item, taken) in items {
            let name = item.to_string();
            if !self.may_have_had(&name) && taken.all() > 0 {
                console(format!("{item}: {} are taken, the sale does not have it", taken.all()));
            }
            // One definition changes a total once, so the largest reported total is the maximum.
            if self.defined == 1
                && self.unsure.contains(item)
                && let Some(most) = largest_total(input, &name)
                && taken.peak > most
            {
                console(format!("{item}: {} were taken at once, there are {most}", taken.peak));
            }
        }
    }
}

/// All items that the totals or the audit name.
fn known<'a>(input: &ReconcileInput<'a>) -> HashSet<Item<'a>> {
    let audited = input.audit.items.iter().map(|audited| &audited.item);
    input.totals_before.keys().chain(audited).map(|item| Item::named(item)).collect()
}

/// Items with unknown totals, because a definition's line does not list its changes. One definition
/// is resolved: where it changed nothing, the audit's total equals the restocks.
fn unsure<'a>(input: &ReconcileInput<'a>) -> HashSet<Item<'a>> {
    let definitions: Vec<u64> = input
        .actions_of_the_run()
        .filter(|action| action.defines())
        .map(|action| action.sequence())
        .collect();
    if definitions.is_empty() {
        return HashSet::new();
    }
    let seen_through = definitions.len() == 1 && definitions.iter().all(|at| *at <= input.audit.sequence);
    let audited: HashMap<&str, Option<u64>> =
        input.audit.items.iter().map(|item| (&*item.item, total_of(item))).collect();
    let mut totals: HashMap<&str, Option<u64>> =
        input.totals_before.iter().map(|(item, total)| (item.as_str(), *total)).collect();
    let mut broken = HashSet::new();
    for action in input.actions_of_the_run().filter(|action| action.sequence() <= input.audit.sequence) {
        if let Some(item) = &action.item {
            let before = totals.insert(item, action.total);
            if before != Some(action.was) {
                broken.insert(item.as_str());
            }
        }
    }
    let all = totals.keys().chain(audited.keys());
    all.filter(|item| {
        let total = totals.get(*item);
        !seen_through || broken.contains(*item) || total.is_none() || total != audited.get(*item)
    })
    .map(|item| Item::named(item))
    .collect()
}

fn total_of(audited: &AuditItem) -> Option<u64> {
    audited.total.map(|total| u64::try_from(total).unwrap_or(0))
}

/// The largest reported total of an item; `None`: no limit, or no report.
fn largest_total(input: &ReconcileInput<'_>, name: &str) -> Option<u64> {
    let before = input.totals_before.get(name).copied();
    let audited = input.audit.items.iter().find(|audited| audited.item == name);
    let audited = audited.map(total_of);
    let operator_actions =
        input.operator_actions.iter().filter(|action| action.item.as_deref() == Some(name));
    let restocked = operator_actions.flat_map(|action| [action.total, action.was]).flatten().map(Some);
    before.into_iter().chain(audited).chain(restocked).collect::<Option<Vec<u64>>>()?.into_iter().max()
}

/// The audit's sums are right, and they are those of the journal at the audit's sequence.
pub(crate) fn check_audit(input: &ReconcileInput<'_>, found: &mut Vec<Violation>) {
    let audit = input.audit;
    let mut console = |rule, what| found.push(Violation { rule, buyer: None, reservation: None, what });
    if audit.verdict != "balanced" {
        console(Rule::AuditBalanced, format!("the audit's verdict is {}", audit.verdict));
    }
    for problem in &audit.problems {
        let problem = problem.as_str().map_or_else(|| problem.to_string(), str::to_owned);
        console(Rule::AuditBalanced, format!("the audit shows: {problem}"));
    }
    let then = Book::replay(input.changes, input.terms, audit.sequence);
    for AuditItem { item: name, total, free, aside, held, confirmed, drift } in &audit.items {
        let mut unbalanced = |what| console(Rule::AuditBalanced, what);
        if let Some(drift) = drift.filter(|drift| *drift != 0) {
            unbalanced(format!("{name} drifts by {drift}"));
        }
        if let Some(free) = free.filter(|free| *free < 0) {
            unbalanced(format!("{name} has {free} free"));
        }
        if let Some(total) = total.filter(|total| held + confirmed > *total) {
            unbalanced(format!("{name}: {held} held and {confirmed} confirmed of {total}"));
        }
        // Do not trust the audit's own `balanced`: add up again.
        if let (Some(total), Some(free)) = (total, free)
            && free + aside.unwrap_or(0) + held + confirmed != *total
        {
            let aside = aside.map(|aside| format!(" + {aside} aside")).unwrap_or_default();
            unbalanced(format!("{name}: {free}{aside} + {held} + {confirmed} is not {total}"));
        }
        let journal = then.taken(name);
        if [journal.held, journal.confirmed].map(i64::try_from) != [Ok(*held), Ok(*confirmed)] {
            let what = format!(
                "{name} at {}: the audit counts {held} held and {confirmed} confirmed, the journal {} and {}",
                audit.sequence, journal.held, journal.confirmed
            );
            console(Rule::AuditIsTheJournal, what);
        }
    }
    let known: BTreeSet<Item<'_>> = audit.items.iter().map(|item| Item::named(&item.item)).collect();
    let unlisted = then.taken.iter().filter(|(item, taken)| taken.all() > 0 && !known.contains(item));
    for item in unlisted.map(|(item, _)| *item).collect::<BTreeSet<_>>() {
        console(Rule::AuditIsTheJournal, format!("{item} is taken, but the audit does not list it"));
    }
}
