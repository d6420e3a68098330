//! Unit tests of `latency.rs`.

use super::*;

fn of(ms: impl Iterator<Item = u64>) -> Latency {
    let mut latency = Latency::default();
    ms.for_each(|ms| latency.record(Duration::from_millis(ms)));
    latency
}

fn ms(duration: Option<Duration>) -> f64 {
    duration.unwrap().as_secs_f64() * 1000.0
}

#[test]
fn quantiles_are_within_a_hundredth() {
    let latency = of(1..=1000);
    assert_eq!(latency.count(), 1000);
    for (quantile, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
        assert!((ms(latency.at(quantile)) / expected - 1.0).abs() < 0.01);
    }
    assert_eq!((Latency::default().at(0.5), Latency::default().max()), (None, None));
}

#[test]
fn what_came_later_is_distinguished() {
    let earlier = of(1..=10);
    let mut now = earlier.clone();
    now.add(&of(5_000..=5_001));
    let since = now.since(&earlier);
    assert_eq!((since.count(), since.up_to(Duration::from_millis(10))), (2, 0));
    assert!((ms(since.max()) / 5_001.0 - 1.0).abs() < 0.01);
    assert_eq!((now.since(&Latency::default()).count(), now.since(&now).count()), (12, 0));
    assert_eq!((earlier.since(&now).count(), Latency::default().since(&now).count()), (0, 0));
}

#[test]
fn those_within_a_bound_are_counted() {
    let latency = of([1, 5, 50, 500].into_iter());
    let within = [0, 1, 49, 50, 100_000_000].map(|bound| latency.up_to(Duration::from_millis(bound)));
    assert_eq!(within, [0, 1, 2, 3, 4]);
    assert_eq!(Latency::default().up_to(Duration::from_secs(1)), 0);
}

#[test]
fn what_is_written_is_read_and_adds_up() {
    let mut both = of(1..=10);
    let more: Latency = serde_json::from_value(serde_json::to_value(of(100_000..=100_010)).unwrap()).unwrap();
    both.add(&more);
    assert_eq!(both.count(), 21);
    assert!((ms(both.max()) / 100_010.0 - 1.0).abs() < 0.01);
    let empty: Latency = serde_json::from_value(serde_json::to_value(Latency::default()).unwrap()).unwrap();
    assert_eq!(empty.count(), 0);
    assert!(serde_json::from_value::<Latency>("rubbish".into()).is_err());
}
