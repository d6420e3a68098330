//! Reads the limits of connections and requests, the rate limits, and the costs of calls.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::admit::limits::LimitSettings;
use crate::api::worker::RequestLimits;
use crate::config::Settings;
use crate::domain::duration::duration;
use crate::domain::policy::{Costs, Policy, Rates, parse_rate};
use crate::http::connection_caps::CapSettings;
use crate::http::lifetime::LifetimeLimits;
use crate::http::server::ConnectionLimits;
use crate::reserve::batch::QueueLimits;

/// The largest cap of connections.
const CONNECTIONS_MAX: u64 = 10_000_000;
/// The default share of one client address: one in this many of all connections.
const ADDRESS_SHARE: u64 = 10;
/// The least default of one client address, so that a small gateway still serves an office behind one address.
pub(crate) const ADDRESS_LEAST: u64 = 100;
/// Bounds of a connection's age; a shorter one would reconnect clients all the time.
const AGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// Bound of a connection's requests.
const REQUESTS_MAX: u64 = 1_000_000_000;

impl Settings {
    /// Timeouts of connections.
    pub(super) fn connections(&mut self) -> ConnectionLimits {
        ConnectionLimits {
            first_byte_timeout: self.millis("first-byte-timeout-ms", 10..=600_000),
            header_timeout: self.millis("header-timeout-ms", 10..=600_000),
            idle_timeout: self.millis("idle-timeout-ms", 10..=3_600_000),
            lifetime: LifetimeLimits {
                age_max: self.read("connection-max-age", unless_off(age)).flatten(),
                requests_max: self.read("connection-max-requests", unless_off(requests)).flatten(),
            },
        }
    }

    /// The limits of one worker's requests.
    pub(super) fn requests(&mut self, workers: usize) -> RequestLimits {
        let batch_max = self.size("batch-max", 1..=1_000);
        let queue_max = self.size("queue-max", 1..=1_000_000);
        let delay_max = self.millis("queue-delay-max-ms", 1..=60_000);
        let in_flight_max = self.size("in-flight-max", 10..=10_000_000).div_ceil(workers);
        let tap_deadline = self.millis("tap-deadline-ms", 10..=60_000);
        let body_timeout = self.millis("body-timeout-ms", 10..=600_000);
        // The queue delay never exceeds the deadline of the tap.
        let queue = QueueLimits { batch_max, queue_max, delay_max: delay_max.min(tap_deadline) };
        RequestLimits { queue, tap_deadline, in_flight_max, body_timeout }
    }

    /// Every policy's rate and every call's cost.
    pub(super) fn rates(&mut self) -> LimitSettings {
        let mut rates = Rates::default();
        for policy in Policy::ALL {
            rates.set(policy, self.read(&format!("limit-{}", policy.name()), parse_rate).flatten());
        }
        LimitSettings {
            rates,
            keys_max: self.size("limit-keys-max", 1_000..=100_000_000),
            costs: Costs {
                reserve: self.cost("cost-reserve"),
                change: self.cost("cost-change"),
                read: self.cost("cost-read"),
                status: self.cost("cost-status"),
                unverified: self.cost("cost-unverified"),
            },
        }
    }

    fn cost(&mut self, key: &str) -> NonZeroU32 {
        let cost = u32::try_from(self.number(key, 1..=1_000_000)).ok();
        cost.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX)
    }

    /// The caps of a listener's connections, in all and from one client address.
    pub(super) fn caps(&mut self) -> CapSettings {
        let all = self.number("connections-max", 1..=CONNECTIONS_MAX);
        let per_address = self.read("connections-per-address-max", |text| match text {
            "" => Ok(Some((all / ADDRESS_SHARE).max(ADDRESS_LEAST))),
            "off" => Ok(None),
            number => {
                let fits = number.parse().ok().filter(|n| (1..=CONNECTIONS_MAX).contains(n));
                fits.map(Some)
                    .ok_or_else(|| format!("is neither a number from 1 to {CONNECTIONS_MAX} nor off"))
            }
        });
        CapSettings { connections_max: usize_of(all), per_address_max: per_address.flatten().map(usize_of) }
    }

    fn size(&mut self, key: &str, range: RangeInclusive<u64>) -> usize {
        usize_of(self.number(key, range))
    }
}

fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
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
