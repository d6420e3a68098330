//! Unit tests of `rounds.rs`.

use super::*;

#[test]
fn rounds_use_at_most_a_twentieth_of_redis() {
    assert_eq!([0, 1, 2].map(|gateways| interval(gateways, 1)), [INTERVAL_MIN; 3]);
    for (gateways, sales) in [(3, 1), (50, 1), (100, 1), (50, 2), (125, 1)] {
        let rounds = Duration::from_secs(1).div_duration_f64(interval(gateways, sales));
        let share = rounds * f64::from(gateways * sales) * ROUND_COST.as_secs_f64();
        assert!(share <= 0.0501, "{gateways} gateways, {sales} sales: {share}");
    }
    assert_eq!(interval(100, 1), Duration::from_millis(40));
    assert_eq!(interval(u32::MAX, u32::MAX), INTERVAL_MAX);
}
