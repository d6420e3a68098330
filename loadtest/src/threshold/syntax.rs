//! Parses and formats thresholds: `[SCENARIO/]NAME[.STAT] OP VALUE`.

use std::fmt;

use crate::base::outcome::Outcome;
use crate::base::requests::{AMEND, CANCEL, CONFIRM};
use crate::base::scenario::Scenario;
use crate::base::span;
use crate::figures::Population;
use crate::threshold::{Ask, Names, Op, RequestPart, Stat, StepPart, Subject, Threshold, Which};

const SHARE_PLACES: usize = 6;
/// 100 %, as [`Ask::Share`] has it.
pub(super) const WHOLE_SHARE: u64 = 100_000_000;
const QUANTILE_PLACES: usize = 3;
const WHOLE_QUANTILE: u64 = 100_000;

const RATE_PLACES: usize = 3;

const REQUEST: &str = "request";
const STEP: &str = "step";
const JOURNEY: &str = "journey";
const STATUS: &str = "status:";
/// Only of these requests there are times, and no count.
const DECIDED: &str = "decided";

/// Figures of the run as a whole.
const OF_THE_RUN: [(&str, Subject); 4] = [
    ("t0_skew", Subject::Opening),
    ("late", Subject::Late),
    ("unsent", Subject::Unsent),
    ("retries", Subject::Retries),
];

const REQUEST_PARTS: [(&str, RequestPart); 7] = [
    ("sent", RequestPart::Sent),
    ("answered", RequestPart::Answered),
    ("failed", RequestPart::Failed),
    ("limited", RequestPart::Limited),
    ("shed", RequestPart::Shed),
    ("lost", RequestPart::Lost),
    ("rate", RequestPart::Rate),
];

const STEP_PARTS: [(&str, StepPart); 3] =
    [("done", StepPart::Done), ("refused", StepPart::Refused), ("undecided", StepPart::Undecided)];

type ShortName = (&'static str, fn() -> Subject);
/// Short for what is asked for most.
const SHORT: [ShortName; 5] = [
    ("failed", || all(RequestPart::Failed)),
    ("lost", || all(RequestPart::Lost)),
    ("confirmed", || done(CONFIRM)),
    ("cancelled", || done(CANCEL)),
    ("amended", || done(AMEND)),
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
        Some(at) => (Some(Scenario::named(text[..at].trim())?), text[at + 1..].trim()),
    };
    let (subject, stat) = match read_requests(text)? {
        Some(read) => read,
        None => {
            let (name, stat) = text.split_once('.').map_or((text, None), |(name, stat)| (name, Some(stat)));
            (read_name(name.trim(), scenario)?, stat)
        }
    };
    if scenario.is_some() && !matches!(subject, Subject::Taps { .. } | Subject::Journeys(_)) {
        return Err(format!("{subject} is of the whole run: write it without a scenario"));
    }
    Ok((subject, stat.map(read_stat).transpose()?))
}

fn read_name(name: &str, scenario: Option<Scenario>) -> Result<Subject, String> {
    let of_the_run = OF_THE_RUN.into_iter().find(|(own, _)| *own == name).map(|(_, subject)| subject);
    let journeys = || (name == JOURNEY).then_some(Subject::Journeys(scenario));
    let taps = || Which::named(name).map(|which| Subject::Taps { scenario, which });
    let short = || SHORT.into_iter().find(|(own, _)| *own == name).map(|(_, long)| long());
    let status =
        || name.strip_prefix(STATUS).map(|status| Ok(all(RequestPart::Status(read_status(status)?))));
    of_the_run.or_else(journeys).or_else(taps).or_else(short).map(Ok).or_else(status).unwrap_or_else(|| {
        let names = Outcome::ALL.map(Outcome::name).join(", ");
        let short = SHORT.map(|(name, _)| name).join(", ");
        Err(format!(
            "unknown figure {name:?}, expected one of {names}, winners, losers, journey, t0_skew, late, unsent, retries, \
             request, request:NAME, step, step:NAME, status:500, {short}"
        ))
    })
}

fn all(part: RequestPart) -> Subject {
    Subject::Requests(Names::All, part)
}

fn done(name: &str) -> Subject {
    Subject::Steps(Names::One(name.to_owned()), StepPart::Done)
}

/// `request` or `step`, the name and the part; what is left is the STAT. `None`: it is about something else.
fn read_requests(text: &str) -> Result<Option<(Subject, Option<&str>)>, String> {
    let of = |word: &'static str| {
        let rest = text.strip_prefix(word)?;
        (rest.is_empty() || rest.trim_start().starts_with([':', '.'])).then(|| (word, rest.trim_start()))
    };
    let Some((word, rest)) = of(REQUEST).or_else(|| of(STEP)) else { return Ok(None) };
    let (names, rest) = match rest.strip_prefix(':') {
        None => (Names::All, rest),
        Some(named) => read_request_name(word, named)?,
    };
    let rest = match rest.trim() {
        "" => None,
        rest => match rest.strip_prefix('.') {
            Some(rest) => Some(rest.trim()),
            None => return Err(format!("{rest:?} after the name must be .failed, .p99, .max or .mean")),
        },
    };
    let (part, stat) = match rest.map(|rest| rest.split_once('.').unwrap_or((rest, ""))) {
        None => ("", None),
        // What is not a part is a statistic.
        Some((part, _)) if !is_part(word, part.trim()) => ("", rest),
        Some((part, stat)) => (part.trim(), Some(stat).filter(|stat| !stat.is_empty())),
    };
    let subject = match word {
        STEP => Subject::Steps(names, read_step_part(part)?),
        _ => Subject::Requests(names, read_request_part(part, stat)?),
    };
    Ok(Some((subject, stat)))
}

/// A request's name and what is behind it. What could be mistaken for something else must be quoted.
fn read_request_name<'a>(word: &str, text: &'a str) -> Result<(Names, &'a str), String> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix('*') {
        return Ok((Names::Each, rest));
    }
    let (name, rest) = match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').ok_or(format!("the quote after {word}: is not closed"))?,
        None => {
            let (name, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
            (name.trim_end(), rest)
        }
    };
    if name.is_empty() {
        return Err(format!("the name after {word}: is missing, like {word}:reserve"));
    }
    if !text.starts_with('"') && !is_bare(name) {
        return Err(format!("the request's name must be in quotes: {word}:\"{name}\""));
    }
    Ok((Names::One(name.to_owned()), rest))
}

fn is_part(word: &str, part: &str) -> bool {
    match word {
        STEP => STEP_PARTS.iter().any(|(name, _)| *name == part),
        _ => {
            part.starts_with(STATUS) || part == DECIDED || REQUEST_PARTS.iter().any(|(name, _)| *name == part)
        }
    }
}

fn read_step_part(part: &str) -> Result<StepPart, String> {
    let named = STEP_PARTS.into_iter().find(|(name, _)| *name == part).map(|(_, part)| part);
    named.ok_or_else(|| {
        "a step is counted by its end: write step:confirm.undecided < 1%, .done or .refused".to_owned()
    })
}

fn read_request_part(part: &str, stat: Option<&str>) -> Result<RequestPart, String> {
    if let Some(status) = part.strip_prefix(STATUS) {
        return read_status(status).map(RequestPart::Status);
    }
    match (part, stat) {
        ("", None) => Ok(RequestPart::Sent),
        ("" | "sent", Some(_)) => Ok(RequestPart::Times(Population::Sent)),
        ("answered", Some(_)) => Ok(RequestPart::Times(Population::Answered)),
        (DECIDED, Some(_)) => Ok(RequestPart::Times(Population::Decided)),
        (DECIDED, None) => Err("decided has times only: write .decided.p99 < 50ms".to_owned()),
        (part, _) => {
            let named = REQUEST_PARTS.into_iter().find(|(name, _)| *name == part).map(|(_, part)| part);
            named.ok_or_else(|| format!("unknown part .{part}"))
        }
    }
}

fn read_status(text: &str) -> Result<u16, String> {
    let status = text.trim().parse().ok().filter(|status| (100..600).contains(status));
    status.ok_or_else(|| format!("status:{text} must be a status code, like status:503"))
}

/// The name of a request as a threshold has it.
pub(crate) fn request(name: &str) -> String {
    named(REQUEST, &Names::One(name.to_owned()))
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
        return if subject.has_times() {
            read_time(value, stat)
        } else {
            Err(counted(subject, "has no times"))
        };
    }
    if matches!(subject, Subject::Requests(_, RequestPart::Rate)) {
        let rate = value.strip_suffix("/s").and_then(|rate| read_fixed(rate.trim(), RATE_PLACES));
        return rate.map(Ask::Rate).ok_or_else(|| format!("{value:?} must be a rate, like 100/s"));
    }
    if let Some(percent) = value.strip_suffix('%') {
        // Of retries there may be more than taps.
        let most = if *subject == Subject::Retries { u64::MAX } else { WHOLE_SHARE };
        return match subject {
            Subject::Requests(_, RequestPart::Sent) | Subject::Journeys(_) => Err(format!(
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
        (Err(_), Ok(_)) if !subject.has_times() => Err(counted(subject, &format!("{value:?} is a time"))),
        (Err(_), Ok(_)) => {
            Err(format!("{value:?} is a time, and {subject} is a count: write {subject}.p99 < {value}"))
        }
        (Err(_), Err(_)) => Err(format!("{value:?} must be a whole number, like 10, or a share, like 1%")),
    }
}

fn counted(subject: &Subject, problem: &str) -> String {
    format!("{subject} is counted, and {problem}: write {subject} < 10 or {subject} < 1%")
}

impl Subject {
    fn has_times(&self) -> bool {
        match self {
            Subject::Unsent | Subject::Retries | Subject::Steps(..) => false,
            Subject::Requests(_, part) => matches!(part, RequestPart::Times(_) | RequestPart::Sent),
            _ => true,
        }
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
        let of =
            |scenario: &Option<Scenario>| scenario.map(|own| format!("{}/", own.name())).unwrap_or_default();
        if let Some((name, _)) = SHORT.iter().find(|(_, long)| long() == *self) {
            return f.write_str(name);
        }
        match self {
            Subject::Taps { scenario, which } => write!(f, "{}{}", of(scenario), which.name()),
            Subject::Journeys(scenario) => write!(f, "{}{JOURNEY}", of(scenario)),
            Subject::Requests(Names::All, RequestPart::Status(status)) => write!(f, "{STATUS}{status}"),
            Subject::Requests(names, part) => {
                f.write_str(&named(REQUEST, names))?;
                match part {
                    RequestPart::Times(Population::Sent) | RequestPart::Sent => Ok(()),
                    RequestPart::Times(Population::Answered) => f.write_str(".answered"),
                    RequestPart::Times(Population::Decided) => write!(f, ".{DECIDED}"),
                    RequestPart::Status(status) => write!(f, ".{STATUS}{status}"),
                    part => write!(
                        f,
                        ".{}",
                        REQUEST_PARTS.iter().find(|(_, own)| own == part).map_or("", |(n, _)| n)
                    ),
                }
            }
            Subject::Steps(names, part) => {
                let part = STEP_PARTS.iter().find(|(_, own)| own == part).map_or("", |(name, _)| name);
                write!(f, "{}.{part}", named(STEP, names))
            }
            of_the_run => {
                let named = OF_THE_RUN.iter().find(|(_, subject)| subject == of_the_run);
                f.write_str(named.map_or("", |(name, _)| name))
            }
        }
    }
}

fn named(word: &str, names: &Names) -> String {
    match names {
        Names::All => word.to_owned(),
        Names::Each => format!("{word}:*"),
        Names::One(name) if is_bare(name) => format!("{word}:{name}"),
        Names::One(name) => format!("{word}:\"{name}\""),
    }
}

/// The canonical text: what was written, with each part written in one way.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, op) = (&self.subject, self.op.name());
        match self.ask {
            Ask::Count(count) => write!(f, "{subject} {op} {count}"),
            Ask::Rate(rate) => write!(f, "{subject} {op} {}/s", write_fixed(rate, RATE_PLACES)),
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
