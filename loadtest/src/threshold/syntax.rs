//! Parses and formats thresholds: `[SCENARIO/]NAME[.STAT] OP VALUE`.

use std::fmt;

use clap::ValueEnum;

use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::base::span;
use crate::threshold::{Ask, Op, Stat, Subject, Threshold, Which};

const SHARE_PLACES: usize = 6;
/// 100 %, as [`Ask::Share`] has it.
pub(super) const WHOLE_SHARE: u64 = 100_000_000;
const QUANTILE_PLACES: usize = 3;
const WHOLE_QUANTILE: u64 = 100_000;

/// Figures of the run as a whole.
const OF_THE_RUN: [(&str, Subject); 5] = [
    ("t0_skew", Subject::Opening),
    ("late", Subject::Late),
    ("unsent", Subject::Unsent),
    ("retries", Subject::Retries),
    ("request", Subject::Requests(None)),
];

pub(super) fn read(text: &str) -> Result<Threshold, String> {
    let mut quoted = false;
    let at = text
        .find(|c: char| {
            quoted ^= c == '"';
            !quoted && matches!(c, '<' | '>')
        })
        .ok_or("one of < <= > >= is missing; write it like won.p99 < 250ms or shed < 1%")?;
    let (left, right) = text.split_at(at);
    // The longer ones first: `<` begins `<=`, too.
    let (op, value) = [Op::AtMost, Op::AtLeast, Op::Less, Op::More]
        .into_iter()
        .find_map(|op| Some((op, right.strip_prefix(op.name())?)))
        .ok_or("one of < <= > >= is missing")?;
    let (subject, stat) = read_left(left.trim())?;
    let ask = read_ask(&subject, stat, value.trim())?;
    Ok(Threshold { subject, ask, op })
}

fn read_left(text: &str) -> Result<(Subject, Option<Stat>), String> {
    let before_quote = text.find('"').unwrap_or(text.len());
    let (scenario, text) = match text[..before_quote].find('/') {
        None => (None, text),
        Some(at) => (Some(read_scenario(text[..at].trim())?), text[at + 1..].trim()),
    };
    let (subject, stat) = match text.strip_prefix("request:") {
        Some(name) => {
            let (name, stat) = read_request(name)?;
            (Subject::Requests(Some(name)), stat)
        }
        None => {
            let (name, stat) = text.split_once('.').map_or((text, None), |(name, stat)| (name, Some(stat)));
            (read_name(name.trim(), scenario)?, stat)
        }
    };
    if scenario.is_some() && !matches!(subject, Subject::Taps { .. }) {
        return Err(format!("{subject} is of the whole run: write it without a scenario"));
    }
    Ok((subject, stat.map(read_stat).transpose()?))
}

fn read_scenario(name: &str) -> Result<Scenario, String> {
    Scenario::from_str(name, false).map_err(|_| {
        let names: Vec<&str> = Scenario::value_variants().iter().map(|scenario| scenario.name()).collect();
        format!("unknown scenario {name:?}, expected one of {}", names.join(", "))
    })
}

fn read_name(name: &str, scenario: Option<Scenario>) -> Result<Subject, String> {
    let of_the_run = OF_THE_RUN.into_iter().find(|(own, _)| *own == name).map(|(_, subject)| subject);
    let taps = || Which::named(name).map(|which| Subject::Taps { scenario, which });
    of_the_run.or_else(taps).ok_or_else(|| {
        let names = Outcome::ALL.map(Outcome::name).join(", ");
        format!(
            "unknown figure {name:?}, expected one of {names}, winners, losers, t0_skew, late, unsent, retries, \
             request, request:NAME"
        )
    })
}

/// A request's name, and the STAT behind it. What could be mistaken for something else must be quoted.
fn read_request(text: &str) -> Result<(String, Option<&str>), String> {
    let text = text.trim();
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or("the quote after request: is not closed")?,
        None => {
            let (name, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
            (name.trim_end(), rest)
        }
    };
    if name.is_empty() {
        return Err("the name after request: is missing, like request:reserve".to_owned());
    }
    if !text.starts_with('"') && !is_bare(name) {
        return Err(format!("the request's name must be in quotes: request:\"{name}\""));
    }
    match rest.trim() {
        "" => Ok((name.to_owned(), None)),
        rest => match rest.strip_prefix('.') {
            Some(stat) => Ok((name.to_owned(), Some(stat))),
            None => Err(format!("{rest:?} after the request's name must be .p99, .max or .mean")),
        },
    }
}

/// The name of a request as a threshold has it.
pub(crate) fn request(name: &str) -> String {
    if is_bare(name) { format!("request:{name}") } else { format!("request:\"{name}\"") }
}

fn is_bare(name: &str) -> bool {
    name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

fn read_stat(text: &str) -> Result<Stat, String> {
    match text.trim() {
        "max" => Ok(Stat::Max),
        "mean" => Ok(Stat::Mean),
        text => text
            .strip_prefix('p')
            .and_then(|percent| read_fixed(percent, QUANTILE_PLACES))
            .filter(|quantile| (1..WHOLE_QUANTILE).contains(quantile))
            .map(Stat::Quantile)
            .ok_or_else(|| format!("unknown statistic .{text}, expected .p50, .p99, .p99.9, .max or .mean")),
    }
}

fn read_ask(subject: &Subject, stat: Option<Stat>, value: &str) -> Result<Ask, String> {
    let stat = stat.or((*subject == Subject::Opening).then_some(Stat::Spread));
    if let Some(stat) = stat {
        return match subject {
            Subject::Unsent | Subject::Retries => {
                Err(format!("{subject} is counted and has no times: write {subject} < 10 or {subject} < 1%"))
            }
            _ => read_time(value, stat),
        };
    }
    if let Some(percent) = value.strip_suffix('%') {
        // Of retries there may be more than taps.
        let most = if *subject == Subject::Retries { u64::MAX } else { WHOLE_SHARE };
        return match subject {
            Subject::Requests(_) => Err(format!(
                "{subject} is a share of nothing: write a count, {subject} < 1000, or a time, {subject}.p99 < 50ms"
            )),
            _ => read_fixed(percent.trim(), SHARE_PLACES)
                .filter(|share| *share <= most)
                .map(Ask::Share)
                .ok_or_else(|| format!("{value:?} must be a share of at most 100%, like 1% or 0.1%")),
        };
    }
    match (value.parse(), span::parse(value)) {
        (Ok(count), _) => Ok(Ask::Count(count)),
        (Err(_), Ok(_)) => Err(match subject {
            Subject::Unsent | Subject::Retries => {
                format!(
                    "{value:?} is a time, and {subject} is counted: write {subject} < 10 or {subject} < 1%"
                )
            }
            _ => format!("{value:?} is a time, and {subject} is a count: write {subject}.p99 < {value}"),
        }),
        (Err(_), Err(_)) => Err(format!("{value:?} must be a whole number, like 10, or a share, like 1%")),
    }
}

/// A bare number is refused: it would mean seconds, and `won.p99 < 250` means milliseconds.
fn read_time(value: &str, stat: Stat) -> Result<Ask, String> {
    match span::parse(value) {
        Ok(_) if value.parse::<u64>().is_ok() => {
            Err(format!("{value:?} has no unit: write {value}ms or {value}s"))
        }
        Ok(time) => Ok(Ask::Time(stat, time)),
        Err(error) => Err(format!("{value:?} must be a time: {error}")),
    }
}

/// A decimal with at most so many places, as a whole number of its last place.
fn read_fixed(text: &str, places: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > places {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

fn write_fixed(value: u64, places: usize) -> String {
    let digits = format!("{value:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Taps { scenario: None, which } => f.write_str(which.name()),
            Subject::Taps { scenario: Some(scenario), which } => {
                write!(f, "{}/{}", scenario.name(), which.name())
            }
            Subject::Requests(Some(name)) => f.write_str(&request(name)),
            of_the_run => {
                let named = OF_THE_RUN.iter().find(|(_, subject)| subject == of_the_run);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

/// The canonical text: what was written, with each part written in one way.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, op) = (&self.subject, self.op.name());
        match self.ask {
            Ask::Count(count) => write!(f, "{subject} {op} {count}"),
            Ask::Share(share) => write!(f, "{subject} {op} {}%", write_fixed(share, SHARE_PLACES)),
            Ask::Time(stat, limit) => {
                let stat = match stat {
                    Stat::Quantile(quantile) => format!(".p{}", write_fixed(quantile, QUANTILE_PLACES)),
                    Stat::Max => ".max".to_owned(),
                    Stat::Mean => ".mean".to_owned(),
                    Stat::Spread => String::new(),
                };
                write!(f, "{subject}{stat} {op} {}", span::exact(limit))
            }
        }
    }
}
