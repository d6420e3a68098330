//! Formats times for responses and the journal.

use jiff::Timestamp;
use jiff::tz::Offset;

/// A time in ms as RFC 3339 in UTC with milliseconds, clamped to the years 0 to 9999.
pub fn rfc3339(ms: i64) -> String {
    let clamped = ms.clamp(-62_167_219_200_000, 253_402_207_200_000);
    let time = Timestamp::from_millisecond(clamped).unwrap_or_default();
    let time = Offset::UTC.to_datetime(time);
    // Digit by digit, since every response has one: a formatter takes ten times as long.
    let digits = |n: i16| [n / 10, n].map(|n| b'0' + n.rem_euclid(10) as u8);
    let [y, yy] = digits(time.year() / 100);
    let [yyy, yyyy] = digits(time.year() % 100);
    let [mo, moo] = digits(time.month().into());
    let [d, dd] = digits(time.day().into());
    let [h, hh] = digits(time.hour().into());
    let [mi, mii] = digits(time.minute().into());
    let [s, ss] = digits(time.second().into());
    let [f, ff] = digits(time.millisecond() / 10);
    let [_, fff] = digits(time.millisecond());
    let text = [
        y, yy, yyy, yyyy, b'-', mo, moo, b'-', d, dd, b'T', h, hh, b':', mi, mii, b':', s, ss, b'.', f, ff,
        fff, b'Z',
    ];
    std::str::from_utf8(&text).unwrap_or_default().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail this way")]
mod tests;
