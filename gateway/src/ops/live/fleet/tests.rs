//! Unit tests of `fleet.rs`.

use super::*;
use crate::fleet::report::Totals;

fn report(listen: &str, beats: u64, won: u64, fast: u64) -> GatewayReport {
    let mut winners = vec![0; ANSWER_BUCKETS.len() + 1];
    winners[0] = fast;
    GatewayReport {
        listen: listen.to_owned(),
        version: "1".to_owned(),
        beats,
        uptime_ms: beats * 1_000,
        ready: true,
        since_start: Totals { taps: [("won".to_owned(), won)].into(), winners, losers: Vec::new() },
        ..GatewayReport::default()
    }
}

fn heartbeat(at: Instant, reports: &[(&str, GatewayReport)]) -> Heartbeat {
    let live = reports.iter().map(|(id, report)| ((*id).to_owned(), report.clone())).collect();
    Heartbeat { at, live, limits: BTreeMap::new() }
}

#[test]
fn no_count_of_a_gateway_is_lost_or_doubled() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    // The first has counts from before the first heartbeat: they are in the total, and in no rate.
    fleet.update(Some(&heartbeat(at(0), &[("a", report("a:1", 5, 100, 100))])), at(0));
    assert!(fleet.taps(at(0)).is_none());
    // The same report again, then two seconds at once, then another gateway.
    fleet.update(Some(&heartbeat(at(1), &[("a", report("a:1", 5, 100, 100))])), at(1));
    fleet.update(Some(&heartbeat(at(2), &[("a", report("a:1", 7, 160, 160))])), at(2));
    let taps = fleet.taps(at(2)).unwrap();
    assert_eq!((taps.per_second.won, taps.outcomes[0].total), (30.0, 160));
    fleet.update(
        Some(&heartbeat(at(3), &[("a", report("a:1", 8, 170, 170)), ("b", report("b:1", 1, 7, 7))])),
        at(3),
    );
    let taps = fleet.taps(at(3)).unwrap();
    assert_eq!((taps.per_second.won, taps.outcomes[0].total), (10.0, 177));
    let latency = fleet.latency().winners;
    assert_eq!((latency.answers, latency.p99_ms.unwrap() < 0.25), (70, true));
    for second in 4..20 {
        fleet.update(Some(&heartbeat(at(second), &[])), at(second));
    }
    assert_eq!((fleet.latency().winners.answers, fleet.window.len()), (0, WINDOW + 1));
}

#[test]
fn a_gateway_is_silent_then_gone_then_dropped_once_another_has_its_address() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    let at = |seconds| start + Duration::from_secs(seconds);
    let (a, b) = (|beats| ("a", report("a:1", beats, 0, 0)), ("b", report("b:1", 1, 0, 0)));
    fleet.update(Some(&heartbeat(at(0), &[a(1), b.clone()])), at(0));
    let states = |fleet: &Fleet, now| fleet.list("a", now).iter().map(|g| g.state).collect::<Vec<_>>();
    let names = |fleet: &Fleet, now| {
        fleet.alarms("a", now).into_iter().map(|(alarm, _)| alarm.name).collect::<Vec<_>>()
    };
    assert_eq!(states(&fleet, at(0)), [GatewayState::Ready, GatewayState::Ready]);
    assert!(names(&fleet, at(0)).is_empty());
    fleet.update(Some(&heartbeat(at(3), &[a(4), b])), at(3));
    assert_eq!(states(&fleet, at(3)), [GatewayState::Ready, GatewayState::Silent]);
    assert_eq!(names(&fleet, at(3)), ["gateway-silent"]);
    fleet.update(Some(&heartbeat(at(5), &[a(6)])), at(5));
    assert_eq!(states(&fleet, at(5)), [GatewayState::Ready, GatewayState::Gone]);
    assert_eq!(names(&fleet, at(5)), ["gateway-gone"]);
    fleet.update(Some(&heartbeat(at(6), &[a(7), ("c", report("b:1", 1, 0, 0))])), at(6));
    assert_eq!(states(&fleet, at(6)), [GatewayState::Ready, GatewayState::Ready]);
    assert!(names(&fleet, at(6)).is_empty());
    // A gateway that drained has left.
    let draining = GatewayReport { draining: true, ..report("a:1", 8, 0, 0) };
    fleet.update(Some(&heartbeat(at(7), &[("a", draining), ("c", report("b:1", 2, 0, 0))])), at(7));
    fleet.update(Some(&heartbeat(at(8), &[("c", report("b:1", 3, 0, 0))])), at(8));
    assert_eq!(states(&fleet, at(8)), [GatewayState::Left, GatewayState::Ready]);
    assert!(names(&fleet, at(8)).is_empty());
    // No heartbeat any more: the state is unknown.
    assert_eq!(names(&fleet, at(12)), ["fleet-unknown"]);
    assert!(fleet.taps(at(12)).is_none());
}

#[test]
fn the_list_of_gateways_is_bounded() {
    let (mut fleet, start) = (Fleet::default(), Instant::now());
    for n in 0..500_u64 {
        let now = start + Duration::from_secs(n);
        let (id, listen) = (format!("g{n}"), format!("h:{n}"));
        fleet.update(Some(&heartbeat(now, &[(&id, report(&listen, 1, 0, 0))])), now);
    }
    assert_eq!(fleet.gateways.len(), LISTED_MAX);
}

#[test]
fn quantiles_equal_those_of_prometheus() {
    let mut counts = vec![0; ANSWER_BUCKETS.len() + 1];
    assert_eq!(quantile(&counts, 0.5), None);
    counts[2] = 100;
    assert_eq!(quantile(&counts, 0.5), Some(0.75));
    let last = counts.len() - 1;
    counts[last] = 100;
    assert_eq!(quantile(&counts, 0.99), Some(2_500.0));
}
