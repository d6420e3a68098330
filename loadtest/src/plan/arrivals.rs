//! Parses open-loop schedules, counted from the opening. They do not depend on answers: a slow
//! gateway must not make its own load lighter.

mod curve;
mod offsets;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use curve::{Curve, Piece};
use fastrand::Rng;
pub(crate) use offsets::Offsets;

use crate::base::span;

/// Starts a second, at most.
const RATE_MAX: f64 = 1_000_000.0;
/// No schedule goes on for longer; of one without an end, what would start later is left out.
const HORIZON: Duration = Duration::from_secs(1000 * 24 * 3600);

/// A schedule of starts; [`Arrivals::parse`] describes the syntax.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrivals {
    /// Starts a second, up to [`RATE_MAX`], above 0 at least once; without any piece all start at once.
    curve: Curve,
    /// It goes on until the buyers are used up.
    is_endless: bool,
    /// Each start is independent of all others.
    by_chance: bool,
}

impl Arrivals {
    /// Reads a schedule:
    /// - `at-once`: all buyers at the opening
    /// - `constant:500/s`, `constant:500/s:30s`: evenly; without a time until the buyers are used up
    /// - `ramp:0/s..500/s:30s`: the rate goes up, or down, evenly
    /// - `step:100/s:10s,500/s:10s`: steps one after the other
    /// - `poisson:200/s`, `poisson:200/s:60s`: as chance has it, each start independent of all others
    /// - `csv:FILE`: lines `second,rate`, from 1,000 days before the opening on; `0.5*csv:FILE` halves all rates
    ///
    /// Rates are decimals up to 1,000,000/s, above 0 but in steps, tables and at one end of a ramp. A table's file is
    /// read at once.
    pub(crate) fn parse(text: &str) -> Result<Arrivals, String> {
        let text = text.trim();
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let (read, example) = match kind {
            "at-once" if text == kind => {
                return Ok(Arrivals { is_endless: true, ..Arrivals::of(Vec::new()) });
            }
            "constant" => (read_steady(rest), "constant:500/s or constant:500/s:30s"),
            "poisson" => (
                read_steady(rest).map(|steady| Arrivals { by_chance: true, ..steady }),
                "poisson:200/s or poisson:200/s:60s",
            ),
            "ramp" => (read_ramp(rest), "ramp:0/s..500/s:30s"),
            "step" => (read_steps(rest), "step:100/s:10s,500/s:10s"),
            _ if kind == "csv" || kind.ends_with("*csv") => (
                read_table(kind, rest),
                "csv:FILE or 0.5*csv:FILE, with lines like `-2.5,100` (second and rate) in the file",
            ),
            _ => (
                Err("unknown schedule".to_owned()),
                "at-once, constant:500/s:30s, ramp:0/s..500/s:30s, step:100/s:10s,500/s:10s, poisson:200/s:60s or \
                 csv:FILE",
            ),
        };
        let read = read.and_then(|arrivals| match &arrivals.curve {
            curve if !curve.is_within(HORIZON) => {
                Err(format!("goes on for more than {} s", HORIZON.as_secs()))
            }
            curve if curve.is_flat_zero() => Err("no start: a rate must be above 0".to_owned()),
            _ => Ok(arrivals),
        });
        read.map_err(|error| format!("the arrivals {text:?}: {error}; write {example}"))
    }

    /// One that ends with its pieces.
    fn of(pieces: Vec<Piece>) -> Arrivals {
        Arrivals { curve: Curve::new(pieces), is_endless: false, by_chance: false }
    }

    /// The same schedule with all rates times `factor`, which must be above 0 (with another one nothing changes). Rates
    /// stay within what can be written: at most 1,000,000/s, and what is above 0 stays above it.
    pub(crate) fn scaled(&self, factor: f64) -> Arrivals {
        let factor = if factor.is_finite() && factor > 0.0 { factor } else { 1.0 };
        Arrivals { curve: self.curve.scaled(|rate| times(rate, factor)), ..*self }
    }

    /// How many starts it wants by itself: the integral of the rate, rounded; with `poisson` so many are expected.
    /// `None`: as many as there are buyers.
    pub(crate) fn count(&self) -> Option<usize> {
        (!self.is_endless).then(|| self.curve.count())
    }

    /// The intended starts, in µs after the opening, in order, at most `buyers` of them. All but `poisson` are the same
    /// whatever `rng` is; there the same seed gives the same starts.
    pub(crate) fn offsets(&self, buyers: usize, rng: &mut Rng) -> Offsets {
        match self.curve.pieces() {
            [] => Offsets::listed(vec![0; buyers]),
            [Piece { from: rate, lasts, .. }] if self.by_chance => {
                Offsets::by_chance(*rate, *lasts, buyers, rng.fork())
            }
            _ => Offsets::along(self.curve.starts(buyers)),
        }
    }
}

fn times(rate: f64, factor: f64) -> f64 {
    if rate > 0.0 { (rate * factor).clamp(f64::MIN_POSITIVE, RATE_MAX) } else { 0.0 }
}

/// `500/s` or `500/s:30s`.
fn read_steady(text: &str) -> Result<Arrivals, String> {
    let (rate, lasts) = match text.split_once(':') {
        None => (text, None),
        Some((rate, lasts)) => (rate, Some(read_time(lasts)?)),
    };
    let piece = Piece::steady(0.0, lasts.unwrap_or(HORIZON).as_secs_f64(), read_rate(rate)?);
    Ok(Arrivals { is_endless: lasts.is_none(), ..Arrivals::of(vec![piece]) })
}

fn read_ramp(text: &str) -> Result<Arrivals, String> {
    let (rates, lasts) = text.split_once(':').ok_or("the time that the ramp takes is missing")?;
    let (from, to) =
        rates.split_once("..").ok_or_else(|| format!("{rates:?} must be two rates with .. between"))?;
    let (from, to) = (read_rate(from)?, read_rate(to)?);
    Ok(Arrivals::of(vec![Piece { at: 0.0, lasts: read_time(lasts)?.as_secs_f64(), from, to }]))
}

fn read_steps(text: &str) -> Result<Arrivals, String> {
    let mut at = Duration::ZERO;
    let step = |text: &str| {
        let (rate, lasts) = text
            .split_once(':')
            .ok_or_else(|| format!("the step {text:?} must be a rate, a colon and a time"))?;
        let (rate, lasts) = (read_rate(rate)?, read_time(lasts)?);
        let piece = Piece::steady(at.as_secs_f64(), lasts.as_secs_f64(), rate);
        at = at.saturating_add(lasts);
        Ok(piece)
    };
    text.split(',').map(step).collect::<Result<_, String>>().map(Arrivals::of)
}

fn read_table(kind: &str, path: &str) -> Result<Arrivals, String> {
    let factor = match kind.strip_suffix("*csv") {
        None => 1.0,
        Some(factor) => read_number(factor)
            .filter(|factor| *factor > 0.0)
            .ok_or_else(|| format!("the factor {factor:?} must be a number above 0"))?,
    };
    let rows = table::read(path)?;
    let lasting = rows.windows(2).map(|pair| (pair[0], pair[1].second - pair[0].second));
    let pieces = lasting.map(|(row, lasts)| Piece::steady(row.second, lasts, times(row.rate, factor)));
    Ok(Arrivals::of(pieces.collect()))
}

fn read_rate(text: &str) -> Result<f64, String> {
    let text = text.trim();
    text.strip_suffix("/s")
        .and_then(read_number)
        .filter(|rate| *rate <= RATE_MAX)
        .ok_or_else(|| format!("the rate {text:?} must be a number up to {RATE_MAX} with /s after it"))
}

fn read_time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    match span::parse(text) {
        Ok(time) if time.is_zero() => Err(format!("the time {text:?} must be above 0")),
        Ok(time) if time > HORIZON => {
            Err(format!("the time {text:?} is longer than {} s", HORIZON.as_secs()))
        }
        Ok(time) => Ok(time),
        Err(error) => Err(format!("the time {text:?}: {error}")),
    }
}

/// Digits and a point: what else a float may be, an exponent or `nan`, is more likely a slip.
fn read_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}
