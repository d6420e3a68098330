//! Computes the starts of a rate that changes over time.

use std::time::Duration;

/// A stretch of time in which the rate changes evenly, or not at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    /// Seconds after the opening.
    pub(crate) at: f64,
    pub(crate) lasts: f64,
    /// Starts a second, at its two ends.
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// Pieces one after the other, in order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Curve(Vec<Piece>);

impl Piece {
    /// One rate all the time.
    pub(crate) fn steady(at: f64, lasts: f64, rate: f64) -> Piece {
        Piece { at, lasts, from: rate, to: rate }
    }

    /// How many starts it holds.
    fn area(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.lasts
    }

    /// How far into it so much of its area lies behind. Of the two ways to write the solution of
    /// `from·t + slope/2·t² = area` this one divides by nothing small, whatever the slope is.
    fn reaches(&self, area: f64) -> f64 {
        let slope = (self.to - self.from) / self.lasts;
        let rate_there = (self.from * self.from + 2.0 * slope * area).max(0.0).sqrt();
        (2.0 * area / (self.from + rate_there)).min(self.lasts)
    }
}

impl Curve {
    pub(crate) fn new(pieces: Vec<Piece>) -> Curve {
        Curve(pieces)
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// With each of its rates changed.
    pub(crate) fn scaled(&self, scale: impl Fn(f64) -> f64) -> Curve {
        let scaled = |piece: &Piece| Piece { from: scale(piece.from), to: scale(piece.to), ..*piece };
        Curve(self.0.iter().map(scaled).collect())
    }

    /// Whether it is over so long after it began.
    pub(crate) fn is_within(&self, limit: Duration) -> bool {
        match (self.0.first(), self.0.last()) {
            (Some(first), Some(last)) => last.at + last.lasts - first.at <= limit.as_secs_f64(),
            _ => true,
        }
    }

    /// Whether it has pieces, and none with a rate.
    pub(crate) fn is_flat_zero(&self) -> bool {
        !self.0.is_empty() && self.area() <= 0.0
    }

    fn area(&self) -> f64 {
        self.0.iter().fold(0.0, |area, piece| area + piece.area())
    }

    /// The integral of the rate, rounded.
    pub(crate) fn count(&self) -> usize {
        self.area().round() as usize
    }

    /// The first `most` starts, in µs after the opening. The k-th, counted from 0, is where the integral of the rate is
    /// k + 1/2: so there are just as many as [`Curve::count`] says, each step has its own rounded share of them, and
    /// none is at the very edge of a step, where it could be counted to either side.
    pub(crate) fn starts(&self, most: usize) -> CurveStarts {
        CurveStarts { pieces: self.0.clone(), at: 0, behind: 0.0, next: 0, most: most.min(self.count()) }
    }
}

/// The starts of a curve, one by one.
#[derive(Clone, Debug)]
pub(crate) struct CurveStarts {
    pieces: Vec<Piece>,
    /// The piece that the next start is in, or one before it.
    at: usize,
    /// The area of all pieces before it.
    behind: f64,
    next: usize,
    most: usize,
}

impl Iterator for CurveStarts {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        if self.next == self.most {
            return None;
        }
        let wanted = self.next as f64 + 0.5;
        self.next += 1;
        while let Some(piece) = self.pieces.get(self.at)
            && self.behind + piece.area() < wanted
        {
            self.behind += piece.area();
            self.at += 1;
        }
        let piece = self.pieces.get(self.at)?;
        Some(micros(piece.at + piece.reaches(wanted - self.behind)))
    }
}

pub(crate) fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}
