//! A set of small numbers, a bit for each.

use std::ops::Range;

/// A set of numbers below a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bits(Box<[u64]>);

impl Bits {
    pub(super) fn none(limit: usize) -> Self {
        Self(vec![0; limit.div_ceil(64)].into())
    }

    pub(super) fn all(limit: usize) -> Self {
        let mut all = Self(vec![u64::MAX; limit.div_ceil(64)].into());
        if let Some(last) = all.0.last_mut().filter(|_| !limit.is_multiple_of(64)) {
            *last = (1 << (limit % 64)) - 1;
        }
        all
    }

    pub(super) fn set(&mut self, number: usize, is_in: bool) {
        let (word, bit) = (&mut self.0[number / 64], 1 << (number % 64));
        if is_in { *word |= bit } else { *word &= !bit }
    }

    /// Keeps what is in the other set, too.
    pub(super) fn keep(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word &= other);
    }

    /// The words, 64 numbers each.
    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }

    /// Whether it has a number of this range, which begins at a multiple of 16 and is 16 or a multiple of 64 long.
    pub(super) fn has_any(&self, range: Range<usize>) -> bool {
        if range.len() < 64 {
            return self.0[range.start / 64] >> (range.start % 64) & ((1 << range.len()) - 1) != 0;
        }
        let end = (range.end / 64).min(self.0.len());
        self.0[range.start / 64..end].iter().any(|word| *word != 0)
    }

    /// The numbers from this one on, ascending.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = usize> {
        let before = (1_u64 << (first % 64)) - 1;
        let words = self.0.iter().enumerate().skip(first / 64);
        let words = words.map(move |(n, word)| (n, if n == first / 64 { word & !before } else { *word }));
        words.flat_map(|(n, word)| ones(word).map(move |bit| n * 64 + bit))
    }
}

/// The places of the ones in a word, ascending.
pub(super) fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}
