//! Reads the timeouts and the lifetime of connections.

use std::time::Duration;

use crate::config::Settings;
use crate::domain::duration::duration;
use crate::http::lifetime::LifetimeLimits;
use crate::http::server::ConnectionLimits;

/// Bounds of a connection's age; a shorter one would reconnect clients all the time.
const AGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Bound of a connection's requests.
const REQUESTS_MAX: u64 = 1_000_000_000;

impl Settings {
    /// Timeouts of connections. All options are read before any is required, to report every problem.
    pub(super) fn connections(&mut self) -> Option<ConnectionLimits> {
        let first_byte_timeout = self.millis("first-byte-timeout-ms", 10..=600_000);
        let header_timeout = self.millis("header-timeout-ms", 10..=600_000);
        let idle_timeout = self.millis("idle-timeout-ms", 10..=3_600_000);
        let age_max = self.read("connection-max-age", unless_off(age));
        let requests_max = self.read("connection-max-requests", unless_off(requests));
        Some(ConnectionLimits {
            first_byte_timeout: first_byte_timeout?,
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
            lifetime: LifetimeLimits { age_max: age_max?, requests_max: requests_max? },
        })
    }
}

/// Parses `off`, or a limit.
fn unless_off<T>(
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> impl FnOnce(&str) -> Result<Option<T>, String> {
    |text| if text == "off" { Ok(None) } else { parse(text).map(Some) }
}

fn age(text: &str) -> Result<Duration, String> {
    let fits = duration(text).ok().filter(|age| AGE.contains(age));
    fits.ok_or_else(|| "is neither off nor a duration from 1s to 1d, like 90s, 15m or 1h".to_owned())
}

fn requests(text: &str) -> Result<u64, String> {
    let fits = text.parse().ok().filter(|n| (1..=REQUESTS_MAX).contains(n));
    fits.ok_or_else(|| format!("is neither off nor a number from 1 to {REQUESTS_MAX}"))
}

#[cfg(test)]
mod tests;
