//! Texts of stores, folded for searches, with an index of their pairs of characters.

use memchr::memmem::Finder;
use rustc_hash::FxHashMap;

use crate::domain::definition::Store;
use crate::domain::stores::grid::Grid;
use crate::domain::stores::set::{SetBuilder, StoreSet};
use crate::domain::text::search_key;

/// Between a name and an address; no folded text has it.
const BREAK: char = '\n';
/// The most sets that a query intersects for its text; the text itself is compared afterwards.
const SETS_MAX: usize = 8;
const FEW_MAX: usize = 2;

/// Name and address of every store.
#[derive(Debug)]
pub(super) struct Texts {
    folded: String,
    /// Where the text of each store ends.
    ends: Box<[u32]>,
    /// The stores that have a character, or two in a row.
    sets: FxHashMap<(char, char), StoreSet>,
}

/// A text that a query looks for.
#[derive(Debug)]
pub(super) struct Needle {
    finder: Finder<'static>,
    grams: Vec<(char, char)>,
    /// Whether the grams are more than the text itself, so that their stores have to be compared.
    is_longer: bool,
}

impl Needle {
    /// Whether a store has to be compared with it.
    pub(super) fn is_longer(&self) -> bool {
        self.is_longer
    }

    /// `None`: nothing is looked for.
    pub(super) fn new(text: &str) -> Option<Self> {
        let text = search_key(text);
        let mut chars = text.chars();
        let first = chars.next()?;
        let mut grams: Vec<_> = text.chars().zip(chars).collect();
        let is_longer = grams.len() > 1;
        if grams.is_empty() {
            grams.push((first, BREAK));
        }
        grams.sort_unstable();
        grams.dedup();
        Some(Self { finder: Finder::new(&text).into_owned(), grams, is_longer })
    }
}

impl Texts {
    pub(super) fn new(stores: &[Store], grid: &Grid) -> Self {
        let mut folded = String::new();
        let mut sets: FxHashMap<(char, char), SetBuilder> = FxHashMap::default();
        let mut ends = Vec::with_capacity(stores.len());
        for (n, store) in (0..).zip(stores) {
            let begin = folded.len();
            folded.push_str(&search_key(&store.name));
            if let Some(address) = &store.address {
                folded.push(BREAK);
                folded.push_str(&search_key(address));
            }
            ends.push(u32::try_from(folded.len()).unwrap_or(u32::MAX));
            let text = &folded[begin..];
            for (char, next) in text.chars().zip(text.chars().skip(1).chain([BREAK])) {
                sets.entry((char, BREAK)).or_default().push(n);
                if next != BREAK {
                    sets.entry((char, next)).or_default().push(n);
                }
            }
        }
        let sets = sets.into_iter().map(|(gram, set)| (gram, set.finish(stores.len(), grid))).collect();
        Self { folded, ends: ends.into(), sets }
    }

    /// Sets that have every store with this text, the smallest first; `None`: no store has it.
    pub(super) fn sets_with(&self, needle: &Needle) -> Option<Vec<&StoreSet>> {
        let sets = needle.grams.iter().map(|gram| self.sets.get(gram));
        let mut sets = sets.collect::<Option<Vec<_>>>()?;
        sets.sort_by_key(|set| set.len());
        // A small set costs its length, one as bits nearly nothing.
        let mut few = 0;
        sets.retain(|set| {
            few += usize::from(set.is_few());
            !set.is_few() || few <= FEW_MAX
        });
        sets.truncate(SETS_MAX);
        Some(sets)
    }

    /// Whether a store of all the needle's sets has its text.
    pub(super) fn have(&self, store: usize, needle: &Needle) -> bool {
        if !needle.is_longer {
            return true;
        }
        let begin = store.checked_sub(1).map_or(0, |before| self.ends[before]);
        let text = &self.folded[begin as usize..self.ends[store] as usize];
        needle.finder.find(text.as_bytes()).is_some()
    }
}
