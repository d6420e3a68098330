//! The thresholds that alarms of the live page and the alerts of `dashboards/prometheus/rules` share, each with its reason.
//!
//! A test compares each alert with its threshold here. Prometheus adds a `for:` against single bad scrapes.

use std::time::Duration;

/// Age of the oldest hold that is due and not swept (LaunchgateHoldsOverdue). Stock comes back within a second of a deadline;
/// five seconds allow for the opening's burst of holds, which all end in one second, and for a slow sweep.
pub(super) const HOLDS_OVERDUE: Duration = Duration::from_secs(5);

/// Time since the read model was last complete (LaunchgateSnapshotStale, and "not ready"). From one second on it refuses nothing
/// by itself; three seconds let a short stall of Redis pass without taking all gateways out of the balancer at once.
pub(super) const READ_MODEL_STALE: Duration = Duration::from_secs(3);

/// Time before an opening from which everything has to be ready (LaunchgateOpeningNotReady). A person needs a quarter of an hour
/// to wake up, look, and restart a gateway or correct a clock.
pub(super) const OPENING_NEAR: Duration = Duration::from_secs(15 * 60);

/// Time before an opening from which the live page shows the same as a fault: nothing but an announcement helps any more.
pub(super) const OPENING_AT_HAND: Duration = Duration::from_secs(60);

/// Difference between the clocks of a gateway and of Redis (LaunchgateGatewayClockOff). NTP keeps hosts within milliseconds; a
/// second is well below the least `--auth-leeway` that deployments use.
pub(super) const CLOCK_OFFSET: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// An alert, where it stands, and the comparison that its expression must have.
    fn rules() -> [(&'static str, &'static str, String); 4] {
        let ledger = include_str!("../../../dashboards/prometheus/rules/ledger.yml");
        let gateways = include_str!("../../../dashboards/prometheus/rules/gateways.yml");
        let above = |metric: &str, threshold: Duration| format!("{metric} > {}\n", threshold.as_secs());
        [
            ("LaunchgateHoldsOverdue", ledger, above("(launchgate_oldest_due_seconds)", HOLDS_OVERDUE)),
            ("LaunchgateSnapshotStale", ledger, above("(launchgate_snapshot_age_seconds)", READ_MODEL_STALE)),
            (
                "LaunchgateGatewayClockOff",
                gateways,
                above("abs(launchgate_clock_offset_seconds)", CLOCK_OFFSET),
            ),
            (
                "LaunchgateOpeningNotReady",
                gateways,
                format!("launchgate:sale_opens_in:seconds < {})\n", OPENING_NEAR.as_secs()),
            ),
        ]
    }

    #[test]
    fn alerts_have_the_thresholds_of_this_table() {
        for (alert, rules, comparison) in rules() {
            let start = format!("- alert: {alert}\n");
            let mut found = rules.split(&start).skip(1).map(|rule| rule.split("labels:").next());
            let expression = found.next().flatten();
            assert!(
                expression.is_some_and(|expression| expression.contains(&comparison)),
                "{alert}: expected {comparison:?}, found {expression:?} (dashboards/prometheus/rules)"
            );
            assert_eq!(found.next(), None, "{alert} has one rule");
        }
    }
}
