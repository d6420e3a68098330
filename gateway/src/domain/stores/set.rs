//! Sets of stores that are made once and intersected by queries.

use crate::domain::stores::Index;
use crate::domain::stores::bits::Bits;
use crate::domain::stores::grid::Grid;

/// A set with more than one store in so many is kept as bits, in both orders.
const SHARE_OF_MANY: usize = 64;

/// The order of a query's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The definition's.
    Listed,
    /// Along the grid; stores without coordinates are left out.
    Placed,
}

/// A set of stores.
#[derive(Debug)]
pub(super) enum StoreSet {
    Few(Box<[Index]>),
    Many { len: usize, listed: Bits, placed: Bits },
}

/// A set that is being made, in the definition's order.
#[derive(Debug, Default)]
pub(super) struct SetBuilder(Vec<Index>);

impl SetBuilder {
    /// Adds a store; the last one may be added again.
    pub(super) fn push(&mut self, store: Index) {
        if self.0.last() != Some(&store) {
            self.0.push(store);
        }
    }

    pub(super) fn finish(self, stores: usize, grid: &Grid) -> StoreSet {
        let list = self.0;
        if list.len() <= stores / SHARE_OF_MANY {
            return StoreSet::Few(list.into());
        }
        let set = |order| bits(&list, stores, order, grid);
        StoreSet::Many { len: list.len(), listed: set(Order::Listed), placed: set(Order::Placed) }
    }
}

impl StoreSet {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many { len, .. } => *len,
        }
    }

    pub(super) fn is_few(&self) -> bool {
        matches!(self, Self::Few(_))
    }

    /// Keeps of `kept` the stores of this set.
    pub(super) fn narrow(&self, kept: &mut Bits, stores: usize, order: Order, grid: &Grid) {
        match (self, order) {
            (Self::Few(list), _) => kept.keep(&bits(list, stores, order, grid)),
            (Self::Many { listed, .. }, Order::Listed) => kept.keep(listed),
            (Self::Many { placed, .. }, Order::Placed) => kept.keep(placed),
        }
    }
}

/// These stores as bits of this order.
fn bits(list: &[Index], stores: usize, order: Order, grid: &Grid) -> Bits {
    let mut bits = Bits::none(stores);
    for store in list {
        match order {
            Order::Listed => bits.set(usize::from(*store), true),
            Order::Placed => {
                if let Some(place) = grid.place(usize::from(*store)) {
                    bits.set(place, true);
                }
            }
        }
    }
    bits
}
