//! Parses open-loop schedules, counted from the opening. They do not depend on answers: a slow
//! gateway must not make its own load lighter.

mod curve;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use curve::{Curve, Piece};
use fastrand::Rng;
use table::Row;

use crate::base::span;

/// Starts a second, at most.
const RATE_MAX: f64 = 1_000_000.0;
/// No schedule goes on for longer; of one without an end, what would start later is left out.
const HORIZON: Duration = Duration::from_secs(1000 * 24 * 3600);

/// A schedule of starts; [`Arrivals::parse`] describes the syntax.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arrivals(Form);

/// Rates are starts a second, up to [`RATE_MAX`]; at least one of a schedule is above 0.
#[derive(Clone, Debug, PartialEq)]
enum Form {
    AtOnce,
    /// `lasts: None`: until the buyers are used up.
    Constant {
        rate: f64,
        lasts: Option<Duration>,
    },
    Ramp {
        from: f64,
        to: f64,
        lasts: Duration,
    },
    Step(Vec<(f64, Duration)>),
    Poisson {
        rate: f64,
        lasts: Option<Duration>,
    },
    /// The rows are as the file has them: `factor` is apart, so that the schedule can be written.
    Table {
        path: String,
        factor: f64,
        rows: Vec<Row>,
    },
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
        if text == "at-once" {
            return Ok(Arrivals(Form::AtOnce));
        }
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let (form, example) = match kind {
            "constant" => (
                read_steady(rest).map(|(rate, lasts)| Form::Constant { rate, lasts }),
                "constant:500/s or constant:500/s:30s",
            ),
            "poisson" => (
                read_steady(rest).map(|(rate, lasts)| Form::Poisson { rate, lasts }),
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
        let read = form.and_then(|form| {
            let arrivals = Arrivals(form);
            let curve = arrivals.curve();
            if !curve.is_within(HORIZON) {
                Err(format!("goes on for more than {} s", HORIZON.as_secs()))
            } else if curve.is_flat_zero() {
                Err("no start: a rate must be above 0".to_owned())
            } else {
                Ok(arrivals)
            }
        });
        read.map_err(|error| format!("the arrivals {text:?}: {error}; write {example}"))
    }

    /// The same schedule with all rates times `factor`, which must be above 0 (with another one nothing changes). Rates
    /// stay within what can be written: at most 1,000,000/s, and what is above 0 stays above it.
    pub(crate) fn scaled(&self, factor: f64) -> Arrivals {
        let factor = if factor.is_finite() && factor > 0.0 { factor } else { 1.0 };
        Arrivals(match &self.0 {
            Form::AtOnce => Form::AtOnce,
            Form::Constant { rate, lasts } => Form::Constant { rate: times(*rate, factor), lasts: *lasts },
            Form::Ramp { from, to, lasts } => {
                Form::Ramp { from: times(*from, factor), to: times(*to, factor), lasts: *lasts }
            }
            Form::Step(steps) => {
                Form::Step(steps.iter().map(|(rate, lasts)| (times(*rate, factor), *lasts)).collect())
            }
            Form::Poisson { rate, lasts } => Form::Poisson { rate: times(*rate, factor), lasts: *lasts },
            Form::Table { path, factor: own, rows } => Form::Table {
                path: path.clone(),
                factor: (own * factor).clamp(f64::MIN_POSITIVE, f64::MAX),
                rows: rows.clone(),
            },
        })
    }

    /// How many starts it wants by itself: the integral of the rate, rounded; with `poisson` so many are expected.
    /// `None`: as many as there are buyers.
    pub(crate) fn count(&self) -> Option<usize> {
        match &self.0 {
            Form::AtOnce | Form::Constant { lasts: None, .. } | Form::Poisson { lasts: None, .. } => None,
            _ => Some(self.curve().count()),
        }
    }

    /// The intended starts, in µs after the opening, in order, at most `buyers` of them. All but `poisson` are the same
    /// whatever `rng` is; there the same seed gives the same starts.
    pub(crate) fn offsets(&self, buyers: usize, rng: &mut Rng) -> Vec<i64> {
        match &self.0 {
            Form::AtOnce => vec![0; buyers],
            Form::Poisson { rate, lasts } => {
                let end = lasts.unwrap_or(HORIZON).as_secs_f64();
                let mut at = 0.0;
                let starts = std::iter::from_fn(|| {
                    // What is left of 1 is never 0, which has no logarithm.
                    at -= (1.0 - rng.f64()).ln() / rate;
                    (at < end).then(|| curve::micros(at))
                });
                starts.take(buyers).collect()
            }
            _ => self.curve().starts(buyers),
        }
    }

    /// The rate over time. What has no rate has no pieces.
    fn curve(&self) -> Curve {
        let steady = |rate: f64, lasts: Option<Duration>| {
            vec![Piece { at: 0.0, lasts: lasts.unwrap_or(HORIZON).as_secs_f64(), from: rate, to: rate }]
        };
        Curve::new(match &self.0 {
            // A step that high has no width.
            Form::AtOnce => Vec::new(),
            Form::Constant { rate, lasts } | Form::Poisson { rate, lasts } => steady(*rate, *lasts),
            Form::Ramp { from, to, lasts } => {
                vec![Piece { at: 0.0, lasts: lasts.as_secs_f64(), from: *from, to: *to }]
            }
            Form::Step(steps) => {
                let mut at = Duration::ZERO;
                let piece = |(rate, lasts): &(f64, Duration)| {
                    let piece =
                        Piece { at: at.as_secs_f64(), lasts: lasts.as_secs_f64(), from: *rate, to: *rate };
                    at = at.saturating_add(*lasts);
                    piece
                };
                steps.iter().map(piece).collect()
            }
            Form::Table { factor, rows, .. } => {
                let piece = |pair: &[Row]| {
                    let rate = times(pair[0].rate, *factor);
                    Piece { at: pair[0].second, lasts: pair[1].second - pair[0].second, from: rate, to: rate }
                };
                rows.windows(2).map(piece).collect()
            }
        })
    }
}

/// Reads back as the same schedule; a table as long as its file is the same.
impl fmt::Display for Arrivals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steady =
            |f: &mut fmt::Formatter<'_>, kind: &str, rate: &f64, lasts: &Option<Duration>| match lasts {
                None => write!(f, "{kind}:{rate}/s"),
                Some(lasts) => write!(f, "{kind}:{rate}/s:{}", span::exact(*lasts)),
            };
        match &self.0 {
            Form::AtOnce => f.write_str("at-once"),
            Form::Constant { rate, lasts } => steady(f, "constant", rate, lasts),
            Form::Poisson { rate, lasts } => steady(f, "poisson", rate, lasts),
            Form::Ramp { from, to, lasts } => write!(f, "ramp:{from}/s..{to}/s:{}", span::exact(*lasts)),
            Form::Step(steps) => {
                for (n, (rate, lasts)) in steps.iter().enumerate() {
                    write!(f, "{}{rate}/s:{}", if n == 0 { "step:" } else { "," }, span::exact(*lasts))?;
                }
                Ok(())
            }
            Form::Table { path, factor, .. } if *factor == 1.0 => write!(f, "csv:{path}"),
            Form::Table { path, factor, .. } => write!(f, "{factor}*csv:{path}"),
        }
    }
}

fn times(rate: f64, factor: f64) -> f64 {
    if rate > 0.0 { (rate * factor).clamp(f64::MIN_POSITIVE, RATE_MAX) } else { 0.0 }
}

/// `500/s` or `500/s:30s`.
fn read_steady(text: &str) -> Result<(f64, Option<Duration>), String> {
    let (rate, lasts) = match text.split_once(':') {
        None => (text, None),
        Some((rate, lasts)) => (rate, Some(read_time(lasts)?)),
    };
    Ok((read_rate(rate)?, lasts))
}

fn read_ramp(text: &str) -> Result<Form, String> {
    let (rates, lasts) = text.split_once(':').ok_or("the time that the ramp takes is missing")?;
    let (from, to) =
        rates.split_once("..").ok_or_else(|| format!("{rates:?} must be two rates with .. between"))?;
    Ok(Form::Ramp { from: read_rate(from)?, to: read_rate(to)?, lasts: read_time(lasts)? })
}

fn read_steps(text: &str) -> Result<Form, String> {
    let step = |text: &str| {
        let (rate, lasts) = text
            .split_once(':')
            .ok_or_else(|| format!("the step {text:?} must be a rate, a colon and a time"))?;
        Ok((read_rate(rate)?, read_time(lasts)?))
    };
    text.split(',').map(step).collect::<Result<_, String>>().map(Form::Step)
}

fn read_table(kind: &str, path: &str) -> Result<Form, String> {
    let factor = match kind.strip_suffix("*csv") {
        None => 1.0,
        Some(factor) => read_number(factor)
            .filter(|factor| *factor > 0.0)
            .ok_or_else(|| format!("the factor {factor:?} must be a number above 0"))?,
    };
    Ok(Form::Table { path: path.to_owned(), factor, rows: table::read(path)? })
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
