//! Stores along a grid over the globe, in blocks, and the walk over them from the nearest on.
//!
//! Coordinates are points on the unit sphere: the straight line between two grows with their distance, and its square
//! is four times their haversine. In whole numbers it is exact, and the same at every gateway.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::domain::definition::Store;
use crate::domain::degrees::Degrees;
use crate::domain::stores::Index;
use crate::domain::stores::bits::{Bits, ones};

/// Units of the sphere's radius: 6 mm on the ground.
const RADIUS: f64 = (1_u32 << 30) as f64;
/// The mean radius of the earth.
const RADIUS_M: f64 = 6_371_008.8;
/// Stores of a block: a quarter of a word of bits.
const BLOCK: usize = 16;
/// Nodes of a node above.
const FAN_OUT: usize = 16;

/// A point on the sphere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot([i32; 3]);

/// The least and the greatest coordinates of some points.
#[derive(Debug, Clone, Copy)]
struct Bounds([(i32, i32); 3]);

/// All stores with coordinates.
#[derive(Debug)]
pub(super) struct Grid {
    /// By place, the store.
    stores: Box<[Index]>,
    /// By store, its place.
    places: Box<[Option<Index>]>,
    spots: Box<[Spot]>,
    /// The bounds of blocks, of nodes of blocks and so on, up to one.
    levels: Vec<Vec<Bounds>>,
}

impl Spot {
    /// The point with these coordinates.
    pub fn new(lat: Degrees, lng: Degrees) -> Self {
        let ((sin_lat, cos_lat), (sin_lng, cos_lng)) =
            (lat.value().to_radians().sin_cos(), lng.value().to_radians().sin_cos());
        #[expect(clippy::cast_possible_truncation, reason = "at most 2^30")]
        Self([cos_lat * cos_lng, cos_lat * sin_lng, sin_lat].map(|part| (part * RADIUS).round() as i32))
    }

    /// The square of the straight line to another point.
    fn square_to(self, other: Self) -> u64 {
        self.0.into_iter().zip(other.0).map(|(a, b)| u64::from(a.abs_diff(b)).pow(2)).sum()
    }
}

/// The way over the ground, for the square of a straight line.
pub(super) fn metres(square: u64) -> u32 {
    #[expect(clippy::cast_precision_loss, reason = "millimetres at most")]
    let half = (square as f64).sqrt() / (2.0 * RADIUS);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "half the equator at most")]
    let metres = (2.0 * RADIUS_M * half.min(1.0).asin()).round() as u32;
    metres
}

impl Bounds {
    fn of(spots: &[Spot]) -> Self {
        let mut bounds = [(i32::MAX, i32::MIN); 3];
        for Spot(parts) in spots {
            for ((least, most), part) in bounds.iter_mut().zip(*parts) {
                (*least, *most) = ((*least).min(part), (*most).max(part));
            }
        }
        Self(bounds)
    }

    fn around(parts: &[Self]) -> Self {
        let mut all = parts[0].0;
        for Self(bounds) in parts {
            for ((least, most), other) in all.iter_mut().zip(bounds) {
                (*least, *most) = ((*least).min(other.0), (*most).max(other.1));
            }
        }
        Self(all)
    }

    /// The least square of a line from this point to one within the bounds.
    fn nearest(&self, Spot(from): Spot) -> u64 {
        let apart = |((least, most), from): ((i32, i32), i32)| match from {
            _ if from < least => u64::from(least.abs_diff(from)),
            _ if from > most => u64::from(from.abs_diff(most)),
            _ => 0,
        };
        self.0.into_iter().zip(from).map(|axis| apart(axis).pow(2)).sum()
    }

    /// The greatest.
    fn farthest(&self, Spot(from): Spot) -> u64 {
        let apart = |((least, most), from): ((i32, i32), i32)| {
            u64::from(least.abs_diff(from).max(most.abs_diff(from)))
        };
        self.0.into_iter().zip(from).map(|axis| apart(axis).pow(2)).sum()
    }
}

impl Grid {
    pub(super) fn new(stores: &[Store]) -> Self {
        let located = stores.iter().enumerate().filter_map(|(n, store)| {
            let (lat, lng) = (store.lat?, store.lng?);
            Some((cell(lat, lng), index(n), Spot::new(lat, lng)))
        });
        let mut located: Vec<_> = located.collect();
        located.sort_unstable_by_key(|(cell, n, _)| (*cell, *n));
        let mut places = vec![None; stores.len()];
        for (place, (_, n, _)) in (0..).zip(&located) {
            places[usize::from(*n)] = Some(place);
        }
        let spots: Box<[Spot]> = located.iter().map(|(.., spot)| *spot).collect();
        let mut levels: Vec<Vec<Bounds>> = vec![spots.chunks(BLOCK).map(Bounds::of).collect()];
        while let Some(last) = levels.last().filter(|last| last.len() > 1) {
            levels.push(last.chunks(FAN_OUT).map(Bounds::around).collect());
        }
        Self { stores: located.iter().map(|(_, n, _)| *n).collect(), places: places.into(), spots, levels }
    }

    /// The place of a store with coordinates.
    pub(super) fn place(&self, store: usize) -> Option<usize> {
        self.places[store].map(usize::from)
    }

    /// The stores with coordinates.
    pub(super) fn len(&self) -> usize {
        self.stores.len()
    }
}

/// The cell of 2^32 over the globe; cells with near numbers are mostly near each other.
fn cell(lat: Degrees, lng: Degrees) -> u64 {
    let part = |degrees: f64, most: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 65,535")]
        let part = ((degrees + most) / (2.0 * most) * f64::from(u16::MAX)) as u64;
        part
    };
    let (lat, lng) = (part(lat.value(), 90.0), part(lng.value(), 180.0));
    (0..16).fold(0, |cell, bit| cell | (lat >> bit & 1) << (2 * bit + 1) | (lng >> bit & 1) << (2 * bit))
}

/// A point of the walk: the square of the distance, then the place.
pub(super) type Step = (u64, Index);

/// What is reached next, as one number, which is quick to compare: the square, the place, and the height of a store (0)
/// or of a node whose stores are that far away at least.
type Ahead = u128;

fn ahead((square, place): Step, height: u8) -> Ahead {
    u128::from(square) << 24 | u128::from(place) << 8 | u128::from(height)
}

fn step_of(ahead: Ahead) -> Step {
    #[expect(clippy::cast_possible_truncation, reason = "the square has 64 bits, the place 16")]
    let step = ((ahead >> 24) as u64, (ahead >> 8) as Index);
    step
}

/// A walk over the stores of a set, from the nearest on; equally far ones in the order of their places.
pub(super) struct Walk<'a> {
    grid: &'a Grid,
    /// In the order of places.
    set: &'a Bits,
    from: Spot,
    begin: Step,
    ahead: BinaryHeap<Reverse<Ahead>>,
    /// Nodes and stores that were measured.
    pub(super) measured: usize,
}

impl<'a> Walk<'a> {
    /// From a step on, or from the nearest store.
    pub(super) fn new(grid: &'a Grid, set: &'a Bits, from: Spot, begin: Step) -> Self {
        let mut walk = Self { grid, set, from, begin, ahead: BinaryHeap::with_capacity(512), measured: 0 };
        walk.look_at(grid.levels.len() - 1, 0);
        walk
    }

    /// The next step is this one or a later one; `None`: there is none.
    pub(super) fn peek(&self) -> Option<Step> {
        self.ahead.peek().map(|Reverse(ahead)| step_of(*ahead))
    }

    /// Whether the next step is past the beginning, so that a walk from there on goes on.
    pub(super) fn has_advanced(&self) -> bool {
        self.peek().is_some_and(|at| at > self.begin)
    }

    /// Goes on: to a store, or through a node.
    pub(super) fn advance(&mut self) -> Option<(Step, usize)> {
        let Reverse(next) = self.ahead.pop()?;
        let (at, height) = (step_of(next), (next & 0xff) as usize);
        let place = usize::from(at.1);
        let Some(level) = height.checked_sub(1) else {
            return Some((at, usize::from(self.grid.stores[place])));
        };
        if level == 0 {
            for bit in ones(self.set.words()[place / 64] >> (place % 64) & ((1 << BLOCK) - 1)) {
                let at = (self.from.square_to(self.grid.spots[place + bit]), index(place + bit));
                self.measured += 1;
                if at >= self.begin {
                    self.ahead.push(Reverse(ahead(at, 0)));
                }
            }
        } else {
            let first = place / stores_of(level - 1);
            (first..first + FAN_OUT).for_each(|node| self.look_at(level - 1, node));
        }
        None
    }

    /// Puts a node ahead, unless it has no store of the set or all of them were before.
    fn look_at(&mut self, level: usize, node: usize) {
        let Some(bounds) = self.grid.levels[level].get(node) else { return };
        let first = node * stores_of(level);
        if self.set.has_any(first..first + stores_of(level)) {
            self.measured += 1;
            let last = index(first + stores_of(level) - 1);
            if (bounds.farthest(self.from), last) >= self.begin {
                let height = u8::try_from(level + 1).unwrap_or(u8::MAX);
                self.ahead.push(Reverse(ahead((bounds.nearest(self.from), index(first)), height)));
            }
        }
    }
}

/// The stores of a node of this level.
fn stores_of(level: usize) -> usize {
    (0..level).fold(BLOCK, |stores, _| stores * FAN_OUT)
}

fn index(place: usize) -> Index {
    Index::try_from(place).unwrap_or(Index::MAX)
}
