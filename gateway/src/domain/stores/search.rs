//! Queries over the stores of a sale. Each does a bounded amount of work; its cursor goes on where it stopped.

use crate::domain::stores::StoreIndex;
use crate::domain::stores::StoreLevels;
use crate::domain::stores::bits::Bits;
use crate::domain::stores::grid::{Spot, Step, Walk, metres};
use crate::domain::stores::set::{Order, StoreSet};
use crate::domain::stores::texts::Needle;
use crate::domain::text::search_key;

/// The work of a page, in measured nodes. `scripts/bench --instructions` holds every page below four status reads.
const WORK_MAX: usize = 900;
/// The same of a page by distance, whose nodes are measured.
const WORK_MAX_NEAR: usize = 650;
/// What a page may do at least past its beginning.
const WORK_LEAST: usize = 200;
/// What a page may measure before its beginning. Farther out the list ends: hundreds of stores from the point, unless
/// thousands are about equally far away.
const BEHIND_MAX: usize = 1_400;
/// The work of comparing a store's text.
const COMPARED: usize = 5;
/// The work of putting a measured store on the page.
const FOUND_NEAR: usize = 7;
/// The work of putting any other store on the page: its bytes are copied.
const FOUND: usize = 3;

/// What a query asks for.
#[derive(Debug, Default)]
pub struct StoreQuery {
    city: Option<String>,
    province: Option<String>,
    text: Option<Needle>,
    /// Only stores with slots left.
    pub only_available: bool,
    /// The point from which the stores are sorted by distance.
    pub near: Option<Spot>,
    /// Stores on the page, at most.
    pub limit: usize,
}

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// After this store.
    After(usize),
    /// From this square of a distance and this place on.
    From(u64, u16),
}

/// A page of stores.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FoundStores {
    /// Indices of stores, each with its distance in metres if the query has a point.
    pub stores: Vec<(usize, Option<u32>)>,
    /// `None`: there are no more.
    pub next: Option<Cursor>,
}

impl StoreQuery {
    /// All stores, so many on a page.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Only stores of this city.
    pub fn city(&mut self, city: &str) {
        self.city = Some(search_key(city));
    }

    /// Only stores of this province.
    pub fn province(&mut self, province: &str) {
        self.province = Some(search_key(province));
    }

    /// Only stores with this text in their name or address; an empty one is in all.
    pub fn text(&mut self, text: &str) {
        self.text = Needle::new(text);
    }

    /// The work of looking at a store.
    fn comparison(&self) -> usize {
        if self.text.as_ref().is_some_and(Needle::is_longer) { COMPARED } else { 0 }
    }
}

impl StoreIndex {
    /// Answers a query, from a cursor on. A page that is cut short has a cursor, and may be empty. Near a point, pages
    /// end after some hundred stores at the earliest.
    pub fn search(&self, query: &StoreQuery, levels: &StoreLevels, cursor: Option<Cursor>) -> FoundStores {
        let order = if query.near.is_some() { Order::Placed } else { Order::Listed };
        let Some(sets) = self.sets(query) else { return FoundStores::default() };
        let mut set = match (query.only_available, order) {
            (true, Order::Listed) => levels.listed.clone(),
            (true, Order::Placed) => levels.placed.clone(),
            (false, Order::Listed) => Bits::all(self.count),
            (false, Order::Placed) => Bits::all(self.grid.len()),
        };
        sets.into_iter().for_each(|narrower| narrower.narrow(&mut set, self.count, order, &self.grid));
        match (query.near, cursor) {
            (Some(from), cursor) => {
                let begin =
                    if let Some(Cursor::From(square, place)) = cursor { (square, place) } else { (0, 0) };
                self.nearest(query, &set, from, begin)
            }
            (None, Some(Cursor::After(store))) => self.listed(query, &set, store + 1),
            (None, _) => self.listed(query, &set, 0),
        }
    }

    /// The sets whose stores can match; `None`: no store matches.
    fn sets(&self, query: &StoreQuery) -> Option<Vec<&StoreSet>> {
        let mut sets = query.text.as_ref().map_or(Some(Vec::new()), |needle| self.texts.sets_with(needle))?;
        if let Some(city) = &query.city {
            sets.push(self.by_city.get(city)?);
        }
        if let Some(province) = &query.province {
            sets.push(self.by_province.get(province)?);
        }
        Some(sets)
    }

    fn matches(&self, query: &StoreQuery, store: usize) -> bool {
        query.text.as_ref().is_none_or(|needle| self.texts.have(store, needle))
    }

    fn listed(&self, query: &StoreQuery, set: &Bits, first: usize) -> FoundStores {
        let compared = query.comparison();
        let (mut work, mut stores) = (0, Vec::with_capacity(query.limit));
        let mut last = None;
        for store in set.from(first) {
            if work > WORK_MAX {
                return FoundStores { stores, next: last.map(Cursor::After) };
            }
            work += compared;
            if self.matches(query, store) {
                if stores.len() == query.limit {
                    return FoundStores { stores, next: last.map(Cursor::After) };
                }
                work += FOUND;
                stores.push((store, None));
            }
            last = Some(store);
        }
        FoundStores { stores, next: None }
    }

    fn nearest(&self, query: &StoreQuery, set: &Bits, from: Spot, begin: Step) -> FoundStores {
        let mut stores = Vec::with_capacity(query.limit);
        let mut walk = Walk::new(&self.grid, set, from, begin);
        // What is before the beginning is measured again for each page; each goes on all the same.
        let (mut work, mut behind) = (0, 0);
        while let Some((square, place)) = walk.peek() {
            let next = Some(Cursor::From(square, place));
            if work > WORK_MAX_NEAR.saturating_sub(behind).max(WORK_LEAST) {
                return FoundStores { stores, next };
            }
            if behind > BEHIND_MAX {
                return FoundStores { stores, next: None };
            }
            let (has_advanced, measured) = (walk.has_advanced(), walk.measured);
            let store = walk.advance();
            match walk.measured - measured {
                more if has_advanced => work += more,
                more => behind += more,
            }
            let Some((_, store)) = store else { continue };
            work += query.comparison();
            if self.matches(query, store) {
                if stores.len() == query.limit {
                    return FoundStores { stores, next };
                }
                work += FOUND_NEAR;
                stores.push((store, Some(metres(square))));
            }
        }
        FoundStores { stores, next: None }
    }
}
