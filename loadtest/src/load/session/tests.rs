//! Unit tests of `session.rs`.

use super::*;

#[test]
fn a_retry_waits_at_least_as_long_as_the_gateway_asks() {
    let mut rng = Rng::with_seed(1);
    let asked = Duration::from_millis(800);
    for attempt in 0..20 {
        let pause = pause_before(Some(asked), attempt, &mut rng);
        assert!(pause >= asked && pause <= asked * 3 / 2);
    }
    assert!(pause_before(None, 0, &mut rng) >= PAUSE_FIRST);
    assert!(pause_before(None, 1000, &mut rng) <= PAUSE_MAX * 3 / 2);
    assert!(pause_before(Some(Duration::from_secs(9999)), 0, &mut rng) <= PAUSE_MAX * 3 / 2);
}
