//! Unit tests of `thresholds.rs`.

use super::*;

/// An alert, its rules file, and the comparison that its expression must have.
fn rules() -> [(&'static str, &'static str, String); 6] {
    let ledger = include_str!("../../../../dashboards/prometheus/rules/ledger.yml");
    let gateways = include_str!("../../../../dashboards/prometheus/rules/gateways.yml");
    let above = |metric: &str, threshold: Duration| format!("{metric} > {}\n", threshold.as_secs());
    [
        ("LaunchgateHoldsOverdue", ledger, above("(launchgate_oldest_due_seconds)", HOLDS_OVERDUE)),
        ("LaunchgateSnapshotStale", ledger, above("(launchgate_snapshot_age_seconds)", READ_MODEL_STALE)),
        ("LaunchgateGatewayClockOff", gateways, above("abs(launchgate_clock_offset_seconds)", CLOCK_OFFSET)),
        (
            "LaunchgateDrawNotDrawn",
            ledger,
            format!("launchgate:sale_opens_in:seconds < {}\n", DRAW_NEAR.as_secs()),
        ),
        // The window of `changes`, and as long after the opening, come before the rule's `for`.
        ("LaunchgateDrawStuck", ledger, format!("        for: {}s\n", DRAW_STALLED.as_secs() - 10)),
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
        // An opening that has passed without a draw is critical.
        let more = usize::from(alert == "LaunchgateDrawNotDrawn");
        assert_eq!(found.count(), more, "{alert} has more rules, or fewer");
    }
}
