//! Rules for single values: ids, names, instants, durations, amounts. A rule's message continues
//! after the key.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use jiff::civil::DateTime;
use jiff::{Timestamp, Zoned};

use crate::domain::definition::Sells;
use crate::domain::definition::node::{RawValue, shortened};
use crate::domain::degrees::Degrees;
use crate::domain::duration::{self, DurationText};
use crate::domain::hex;
use crate::domain::text;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DefinitionSource {
    /// An operator: names are normalised, and invisible characters are refused.
    Operator,
    /// The ledger, written by any version: names stay unchanged.
    Ledger,
}

pub(super) type RuleResult<T> = Result<T, String>;

fn expected<T>(what: impl fmt::Display, value: &RawValue<'_>) -> RuleResult<T> {
    Err(format!("must be {what}, not {}", Shown(value)))
}

pub(super) fn sale_id(value: &RawValue<'_>) -> RuleResult<String> {
    id(value, "a-z, 0-9 and -", |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

pub(super) fn item_id(value: &RawValue<'_>) -> RuleResult<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    id(value, "A-Z, a-z, 0-9, '.', '_' and '-'", allowed)
}

fn id(value: &RawValue<'_>, alphabet: &str, allowed: impl Fn(u8) -> bool) -> RuleResult<String> {
    match value {
        RawValue::Text(text) if text == "-" => {
            Err("must not be a lone hyphen: that stands for no item at all; add a letter or a digit"
                .to_owned())
        }
        RawValue::Text(text) if (1..=64).contains(&text.len()) && text.bytes().all(allowed) => {
            Ok(text.to_string())
        }
        _ => expected(format_args!("1 to 64 characters of {alphabet}"), value),
    }
}

/// A display text in its stored form, or why it is refused.
pub(super) fn words(value: &RawValue<'_>, chars_max: usize, source: DefinitionSource) -> RuleResult<String> {
    let expected = || expected(format_args!("a text of 1 to {chars_max} characters"), value);
    let RawValue::Text(text) = value else { return expected() };
    let text = match source {
        DefinitionSource::Ledger if !text.chars().any(char::is_control) => Cow::Borrowed(&**text),
        _ => match text::forbidden(text) {
            Some(char) if char.is_control() => {
                return Err(format!("has a control character: {}", Shown(value)));
            }
            Some(char) => {
                return Err(format!(
                    "has the invisible character U+{:04X}, so that no search finds it: {}; write it without",
                    u32::from(char),
                    Shown(value)
                ));
            }
            None => text::normalised(text),
        },
    };
    if text.trim().is_empty() || text.chars().count() > chars_max {
        return expected();
    }
    Ok(text.into_owned())
}

pub(super) fn currency(value: &RawValue<'_>) -> RuleResult<String> {
    match value {
        RawValue::Text(text) if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()) => {
            Ok(text.to_string())
        }
        _ => expected("three capital letters such as \"CNY\"", value),
    }
}

pub(super) fn sells(value: &RawValue<'_>) -> RuleResult<Sells> {
    let found = if let RawValue::Text(text) = value { Sells::parse(text) } else { None };
    found.map_or_else(|| expected("\"first-come\" or \"draw\"", value), Ok)
}

/// A SHA-256 in hexadecimal, as programs print it.
pub(super) fn sha256(value: &RawValue<'_>) -> RuleResult<String> {
    let is_one = |text: &str| hex::decode_exactly::<32>(text).is_some();
    match value {
        RawValue::Text(text) if is_one(text) => Ok(text.to_ascii_lowercase()),
        _ => expected("a SHA-256, 64 hexadecimal digits, as `sha256sum` prints it", value),
    }
}

pub(super) fn boolean(value: &RawValue<'_>) -> RuleResult<bool> {
    match value {
        RawValue::Bool(value) => Ok(*value),
        _ => expected("true or false", value),
    }
}

pub(super) fn whole<T>(value: &RawValue<'_>, range: RangeInclusive<T>) -> RuleResult<T>
where
    T: TryFrom<i128> + PartialOrd + fmt::Display,
{
    let number = match value {
        RawValue::Integer(number) => T::try_from(*number).ok().filter(|number| range.contains(number)),
        _ => None,
    };
    let (from, to) = (range.start(), range.end());
    number.map_or_else(|| expected(format_args!("a whole number from {from} to {to}"), value), Ok)
}

/// A latitude or longitude of at most so many degrees.
pub(super) fn degrees(value: &RawValue<'_>, most: u8) -> RuleResult<Degrees> {
    let number = match value {
        RawValue::Integer(number) => number.to_string().parse().ok(),
        RawValue::Number(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|number| Degrees::new(number, most)).map_or_else(
        || expected(format_args!("a number of degrees from -{most} to {most}, such as 23.1291"), value),
        Ok,
    )
}

/// An instant: a TOML date-time, or a JSON text.
pub(super) fn instant(value: &RawValue<'_>) -> RuleResult<Timestamp> {
    const EXAMPLE: &str = "2026-11-09T20:00:00+08:00";
    let expected = || expected(format_args!("a date and time such as {EXAMPLE}"), value);
    let text: &str = match value {
        RawValue::Time(text) => text,
        RawValue::Text(text) => text,
        _ => return expected(),
    };
    let Ok(instant) = text.parse::<Timestamp>() else {
        if text.parse::<DateTime>().is_err() {
            return expected();
        }
        let shown = Shown(value);
        return Err(format!(
            "is a local time, {shown}: write it with its offset from UTC, such as {EXAMPLE}"
        ));
    };
    if text.contains('[') && !text.parse::<Zoned>().is_ok_and(|zoned| zoned.timestamp() == instant) {
        return Err(format!(
            "has a time zone in brackets that is unknown here or has another offset at that time, {}: write it with \
             its offset from UTC alone, such as {EXAMPLE}",
            Shown(value)
        ));
    }
    if instant < Timestamp::UNIX_EPOCH {
        return Err(format!("must not be before 1970: {}", Shown(value)));
    }
    if instant.as_nanosecond() % 1_000_000 != 0 {
        return Err(format!("must not be finer than a millisecond: {}", Shown(value)));
    }
    Ok(instant)
}

/// Milliseconds, from a text such as "15m".
pub(super) fn duration(value: &RawValue<'_>, range: RangeInclusive<u64>) -> RuleResult<u64> {
    if let RawValue::Text(text) = value
        && let Some(ms) = duration::milliseconds(text).filter(|ms| range.contains(ms))
    {
        return Ok(ms);
    }
    let (from, to) = (DurationText(*range.start()), DurationText(*range.end()));
    let what = format_args!("\"{from}\" to \"{to}\", written such as \"15m\", \"90s\" or \"1500ms\"");
    expected(what, value)
}

/// A value as messages show it.
struct Shown<'v>(&'v RawValue<'v>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            RawValue::Null => out.write_str("null"),
            RawValue::Bool(value) => write!(out, "{value}"),
            RawValue::Integer(number) => write!(out, "{number}"),
            RawValue::Number(text) | RawValue::Time(text) => out.write_str(&shortened(text)),
            RawValue::Text(text) => write!(out, "{:?}", shortened(text)),
            RawValue::List(_) => out.write_str("a list"),
            RawValue::Table(_) => out.write_str("a table"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
