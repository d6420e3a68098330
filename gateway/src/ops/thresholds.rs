//! The thresholds shared by alarms of the live page and alerts of `dashboards/prometheus/rules`, each
//! with its reason.
//!
//! A test compares each alert with its threshold here. Prometheus adds a `for:` against single bad scrapes.

use std::time::Duration;

/// Age of the oldest hold that is due and not swept (LaunchgateHoldsOverdue). Stock is free again within
/// a second of a deadline; five seconds allow for the burst of holds from the opening, and for a slow
/// sweep.
pub(super) const HOLDS_OVERDUE: Duration = Duration::from_secs(5);

/// Time since the read model was last complete (LaunchgateSnapshotStale, and "not ready"). After one
/// second it refuses nothing by itself; three seconds let a short pause of Redis pass without all
/// gateways leaving the balancer at once.
pub(super) const READ_MODEL_STALE: Duration = Duration::from_secs(3);

/// Time before an opening from which everything has to be ready (LaunchgateOpeningNotReady). A person
/// needs a quarter of an hour to wake up, look, and restart a gateway or correct a clock.
pub(super) const OPENING_NEAR: Duration = Duration::from_secs(15 * 60);

/// Time before an opening from which the live page shows a fault instead: only an announcement still helps.
pub(super) const OPENING_AT_HAND: Duration = Duration::from_secs(60);

/// Time before an opening from which a draw should be drawn (LaunchgateDrawNotDrawn): an operator has to fetch the beacon and
/// to run `gateway draw`, and every gateway reads all sign-ups after it.
pub(super) const DRAW_NEAR: Duration = Duration::from_secs(10 * 60);

/// Time without any progress of a draw's allocation (LaunchgateDrawStuck). A batch takes milliseconds, a failover some
/// seconds, and another gateway goes on within seconds where one ended.
pub(super) const DRAW_STALLED: Duration = Duration::from_secs(30);

/// Difference between the clocks of a gateway and of Redis (LaunchgateGatewayClockOff). NTP keeps hosts within
/// milliseconds; a second is well below the smallest `--auth-leeway` that deployments use.
pub(super) const CLOCK_OFFSET: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
