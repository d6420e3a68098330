//! Tests self-monitoring: each finding with a run that causes it and one that does not, and the
//! sums.

use super::*;
use crate::figures::Figures;
use crate::self_monitoring::machine::Memory;

const LIMITS: Limits = Limits {
    cpu: 90.0,
    late: Duration::from_millis(250),
    queued: Duration::from_millis(20),
    late_share: 1.0,
    skew: Duration::from_millis(200),
};

fn well() -> Health {
    Health {
        processes: 1,
        cores: 2,
        cpu_percent_mean: 40.0,
        cpu_percent_busiest: 90.0,
        cpu_busy_seconds: 0.0,
        timer_lag_p99_ms: 2.0,
        timer_lag_max_ms: 9.0,
        descriptors_peak: 984,
        descriptors_limit: Some(1000),
        ports_exhausted: 0,
        requests: 1_000,
        requests_queued: 10,
        queued_max_ms: 25.0,
        rss_peak_mib: 100.0,
        seconds: 60.0,
    }
}

/// So many punctual and so many late starts.
fn starts(punctual: u64, late: u64) -> Figures {
    let mut figures = Figures::default();
    (0..punctual).for_each(|_| figures.started(0, 10, Duration::ZERO, LIMITS.late));
    (0..late).for_each(|_| figures.started(0, 300_000, Duration::ZERO, LIMITS.late));
    figures
}

/// The only finding.
fn finding(health: &Health, figures: &Figures) -> String {
    let mut findings = health.findings(figures, &LIMITS, false);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

fn nothing_is_wrong(health: &Health, figures: &Figures) {
    assert_eq!(health.findings(figures, &LIMITS, false), [""; 0]);
}

#[test]
fn a_run_within_all_limits_earns_no_complaint() {
    nothing_is_wrong(&well(), &Figures::default());
    nothing_is_wrong(&well(), &starts(99, 1));
}

#[test]
fn a_busy_cpu_is_reported_with_its_cores_and_seconds() {
    let busy = Health { cpu_percent_busiest: 97.2, cpu_busy_seconds: 7.1, ..well() };
    assert_eq!(
        finding(&busy, &Figures::default()),
        "more than 90 % of its 2 cores were used for 7 s (97 % on average over the busiest five): use a faster \
         machine, or several processes with --shard, each with cores of its own"
    );
    // Single busy seconds do not count if their five-second mean is low.
    nothing_is_wrong(&Health { cpu_busy_seconds: 7.1, ..well() }, &Figures::default());
}

#[test]
fn late_starts_are_reported_with_their_likely_cause() {
    let waiting = finding(&well(), &starts(97, 3));
    assert!(
        waiting.starts_with("3.0 % of 100 starts were more than 250 ms late (1 % may be): "),
        "{waiting}"
    );
    assert!(waiting.contains("9.0 ms late at most") && waiting.contains("--shard"), "{waiting}");
    let starved = finding(&Health { timer_lag_max_ms: 400.0, ..well() }, &starts(97, 3));
    assert!(starved.contains("400 ms late, too") && starved.contains("--shard"), "{starved}");
}

#[test]
fn starts_that_waited_for_a_stalled_server_are_not_late() {
    let mut figures = starts(97, 0);
    (0..3).for_each(|_| figures.started(0, 300_000, Duration::from_millis(290), LIMITS.late));
    nothing_is_wrong(&well(), &figures);
    assert_eq!(
        figures.lateness.max().map(|late| late.as_millis() > 290),
        Some(true),
        "they are shown all the same"
    );
}

#[test]
fn requests_that_queued_for_a_connection_are_reported() {
    let found = finding(&Health { requests_queued: 11, ..well() }, &Figures::default());
    assert!(
        found.starts_with(
            "1.1 % of 1000 requests waited more than 20 ms for a connection of this process (1 % may)"
        ),
        "{found}"
    );
    assert!(found.contains("--connections"), "{found}");
    // What follows from it is put down to it.
    let all = Health { requests_queued: 11, ..well() }.findings(&starts(97, 3), &LIMITS, false);
    assert!(all.len() == 2 && all[1].ends_with("they waited for a connection of this process"), "{all:?}");
}

#[test]
fn taps_of_the_opening_that_were_far_apart_are_reported() {
    let mut figures = Figures::default();
    figures.tapped_at_opening(100);
    figures.tapped_at_opening(200_100);
    nothing_is_wrong(&well(), &figures);
    figures.tapped_at_opening(210_100);
    let found = finding(&well(), &figures);
    assert!(
        found.starts_with("from the first to the last tap of the opening it took 210 ms (200 ms may be)"),
        "{found}"
    );
    assert!(found.contains("--shard"), "{found}");
}

#[test]
fn late_timers_alone_are_no_complaint() {
    nothing_is_wrong(&Health { timer_lag_max_ms: 400.0, ..well() }, &starts(99, 1));
}

#[test]
fn starts_that_never_happened_are_reported() {
    let mut figures = starts(9, 0);
    figures.unsent(0);
    let found = finding(&well(), &figures);
    assert!(found.starts_with("1 of 10 starts never happened") && found.contains("--deadline"), "{found}");
    assert_eq!(well().findings(&figures, &LIMITS, true), [""; 0], "it was ended on purpose");
}

#[test]
fn unsent_starts_count_among_those_that_were_meant() {
    // Two late of a hundred that were made are too many, of two hundred that were meant they are not.
    let mut figures = starts(98, 2);
    (0..100).for_each(|_| figures.unsent(0));
    assert!(finding(&well(), &figures).contains("never happened"));
}

#[test]
fn descriptors_at_their_limit_are_reported() {
    let full = Health { descriptors_peak: 985, ..well() };
    let found = finding(&full, &Figures::default());
    assert!(
        found.starts_with("985 of 1000 descriptors were open: ") && found.contains("ulimit -n"),
        "{found}"
    );
    nothing_is_wrong(&Health { descriptors_limit: None, ..full }, &Figures::default());
}

#[test]
fn requests_without_a_descriptor_are_reported_whatever_was_sampled() {
    let mut figures = Figures::default();
    figures.errors.insert("no free descriptor".to_owned(), 3);
    figures.errors.insert("connection reset".to_owned(), 5);
    let found = finding(&Health { descriptors_peak: 20, ..well() }, &figures);
    assert!(found.contains("and 3 requests found none"), "{found}");
}

#[test]
fn exhausted_ports_are_reported() {
    let found = finding(&Health { ports_exhausted: 1, ..well() }, &Figures::default());
    assert!(
        found.starts_with("1 connect found no free local port: ") && found.contains("ip_local_port_range"),
        "{found}"
    );
}

#[test]
fn of_several_processes_the_worst_counts() {
    let idle = Health {
        cpu_percent_mean: 10.0,
        cores: 64,
        descriptors_limit: None,
        descriptors_peak: 5000,
        ..well()
    };
    let busy = Health { cpu_percent_busiest: 99.0, cpu_busy_seconds: 20.0, ports_exhausted: 2, ..well() };
    let late = Health { timer_lag_max_ms: 800.0, ports_exhausted: 3, seconds: 120.0, ..well() };
    let merged = Health::merge([idle, busy, late]).unwrap();
    let expected = Health {
        processes: 3,
        cpu_percent_mean: (10.0 * 60.0 + 40.0 * 60.0 + 40.0 * 120.0) / 240.0,
        cpu_percent_busiest: 99.0,
        cpu_busy_seconds: 20.0,
        timer_lag_max_ms: 800.0,
        ports_exhausted: 5,
        requests: 3_000,
        requests_queued: 30,
        seconds: 120.0,
        ..well()
    };
    assert_eq!(merged, expected);
    assert!(merged.findings(&Figures::default(), &LIMITS, false)[0].contains("a process's 2 cores"));
    assert_eq!(Health::merge([]), None);
    assert_eq!(Health::merge([well()]), Some(well()));
}

#[test]
fn health_survives_a_round_trip() {
    let text = serde_json::to_string(&well()).unwrap();
    assert_eq!(serde_json::from_str::<Health>(&text).unwrap(), well());
}

/// Seconds of two cores with this much CPU each, in percent.
fn tally_of(percents: &[u64]) -> UsageTotals {
    let mut totals = UsageTotals::new(2, LIMITS, Some(1000));
    for percent in percents {
        totals.sampled(CpuSample { took: Duration::from_secs(1), cpu: Duration::from_millis(percent * 20) });
    }
    totals
}

fn close(left: f64, right: f64) -> bool {
    (left - right).abs() < 1e-6
}

#[test]
fn the_busiest_five_seconds_are_found_wherever_they_are() {
    let health = tally_of(&[10, 100, 0, 100, 100, 100, 95, 100, 10, 10]).health();
    assert!(close(health.cpu_percent_busiest, 99.0), "{health:?}");
    assert!(close(health.cpu_percent_mean, 62.5), "{health:?}");
    assert!(close(health.cpu_busy_seconds, 6.0) && close(health.seconds, 10.0), "{health:?}");
}

#[test]
fn a_run_shorter_than_five_seconds_is_judged_as_a_whole() {
    assert!(close(tally_of(&[100, 50]).health().cpu_percent_busiest, 75.0));
    assert!(close(tally_of(&[]).health().cpu_percent_busiest, 0.0));
}

#[test]
fn peaks_stay_and_unknown_values_change_nothing() {
    let mut totals = tally_of(&[50]);
    totals.looked(Some(700), Some(Memory { rss_kib: 1024, peak_kib: 2048 }));
    totals.looked(Some(20), None);
    totals.looked(None, Some(Memory { rss_kib: 512, peak_kib: 2048 }));
    totals.ports_exhausted = 4;
    let health = totals.health();
    assert_eq!(
        (health.descriptors_peak, health.descriptors_limit, health.ports_exhausted),
        (700, Some(1000), 4)
    );
    assert!(close(health.rss_peak_mib, 2.0));
    assert_eq!(totals.reading().open_fds, 20);
}

#[test]
fn the_timers_of_this_second_and_the_last_are_shown() {
    let second = CpuSample { took: Duration::from_secs(1), cpu: Duration::from_millis(500) };
    let mut totals = tally_of(&[]);
    totals.timer_fired(Duration::from_millis(30));
    totals.sampled(second);
    totals.timer_fired(Duration::from_millis(1));
    assert_eq!(
        totals.reading(),
        Reading { cpu_ratio: 0.25, timer_lag: Duration::from_millis(30), open_fds: 0 }
    );
    totals.sampled(second);
    totals.sampled(second);
    assert_eq!(totals.reading().timer_lag, Duration::ZERO);
    assert!(close(totals.health().timer_lag_max_ms, 30.0));
}

#[tokio::test]
async fn this_process_is_watched_until_it_is_finished() {
    let traffic = Traffic::default();
    let monitor = SelfMonitor::start(LIMITS, traffic.clone(), LIMITS.late).unwrap();
    let gauges = monitor.gauges();
    traffic.connected(None);
    gauges.port_exhausted();
    gauges.port_exhausted();
    let seen = async {
        while gauges.now().open_fds == 0 || gauges.totals().timers() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap();
    let health = monitor.finish();
    assert!(health.cores >= 1 && health.descriptors_peak >= 3 && health.rss_peak_mib > 0.0, "{health:?}");
    assert_eq!((health.processes, health.ports_exhausted, health.requests), (1, 2, 1));
}
