//! Estimates the server's clock from round trips.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp, Unit};

/// One call of `/v1/time`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundTrip {
    pub(crate) sent: Instant,
    pub(crate) received: Instant,
    pub(crate) server_time: Timestamp,
}

/// The server's clock: at `anchor` it showed `shown`, give or take `error`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerClock {
    anchor: Instant,
    shown: Timestamp,
    /// How far the estimate can be off: half the round trip and the clock's own resolution.
    pub(crate) error: Duration,
}

/// `server_time` is written in milliseconds.
const RESOLUTION: Duration = Duration::from_millis(1);

impl ServerClock {
    /// Takes the round trip that was shortest: it leaves the least room for doubt.
    pub(crate) fn estimate(trips: &[RoundTrip]) -> Option<ServerClock> {
        let best = trips.iter().min_by_key(|trip| trip.received.saturating_duration_since(trip.sent))?;
        let half = best.received.saturating_duration_since(best.sent) / 2;
        Some(ServerClock { anchor: best.sent + half, shown: best.server_time, error: half + RESOLUTION })
    }

    /// What the server's clock shows at an instant of ours.
    pub(crate) fn at(&self, instant: Instant) -> Timestamp {
        self.shown.checked_add(between(self.anchor, instant)).unwrap_or(self.shown)
    }

    /// Our instant at which the server's clock shows this; past ones that our clock
    /// can't express become the anchor.
    pub(crate) fn instant_of(&self, time: Timestamp) -> Instant {
        after(self.anchor, time.duration_since(self.shown))
    }
}

/// From one instant to another; negative where the other comes first.
pub(crate) fn between(from: Instant, to: Instant) -> SignedDuration {
    let signed = |span| SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    signed(to.saturating_duration_since(from)) - signed(from.saturating_duration_since(to))
}

/// So long after an instant, or before it; one that our clock can't express becomes this one.
pub(crate) fn after(instant: Instant, span: SignedDuration) -> Instant {
    let (size, is_before) = (span.unsigned_abs(), span.is_negative());
    let there = if is_before { instant.checked_sub(size) } else { instant.checked_add(size) };
    there.unwrap_or(instant)
}

/// The present time, as fine as the contract writes times.
pub(crate) fn now() -> Timestamp {
    to_the_ms(Timestamp::now())
}

/// Finer than milliseconds would be a pretence for a clock that is read over the network.
pub(crate) fn to_the_ms(time: Timestamp) -> Timestamp {
    time.round(Unit::Millisecond).unwrap_or(time)
}

#[cfg(test)]
mod tests;
