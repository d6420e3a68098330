//! Unit tests of `alarms.rs`.

use super::*;
use std::sync::Arc;

use crate::fleet::alarm::ALARM_CHARS_MAX;
use crate::fleet::membership::Membership;
use crate::ops::status::ServedOptions;
use crate::store::durability::Durability;

fn status() -> GatewayStatus {
    GatewayStatus {
        sales: Arc::default(),
        metrics: Arc::default(),
        membership: Arc::new(Membership::new(String::new())),
        readiness: Arc::default(),
        checks: Arc::default(),
        options: ServedOptions { durability: Durability::default(), workers: 1, token_keys: "hs256" },
    }
}

#[test]
fn a_gateway_without_problems_raises_no_alarm() {
    assert_eq!(of_gateway(&status(), &[], Recent::default(), Instant::now()), []);
}

#[test]
fn a_redis_that_lacks_replicas_is_not_reported_as_out_of_reach() {
    let status = status();
    let batches = status.metrics.redis(User::Batches);
    let first = |reason: &str| {
        batches.failed(reason);
        let alarms = of_gateway(&status, &[], Recent::default(), Instant::now());
        format!("{}: {}", alarms[0].name, alarms[0].text)
    };
    let gone = first("Connection refused (os error 111)");
    assert!(
        gone.starts_with("redis-unreachable: Redis can't be reached: nothing is sold (Connection"),
        "{gone}"
    );
    let refusing = first("not done: \"NOREPLICAS\": Not enough good replicas to write.");
    assert!(refusing.starts_with("redis-no-replicas: Redis takes no writes"), "{refusing}");
    assert!(refusing.contains("replicas back") && !refusing.contains("network"), "{refusing}");
}

#[test]
fn failures_are_counted_over_the_last_seconds_only() {
    let mut recents = Recents::default();
    let answers = |shed| AnswerCounts {
        counts: vec![
            ("reserve", "temporary-reduced-capacity", shed),
            ("confirm", "temporary-reduced-capacity", 7),
        ],
        ..AnswerCounts::default()
    };
    recents.note(&answers(100));
    assert_eq!(recents.counts().shed, 0);
    recents.note(&answers(103));
    assert_eq!(recents.counts().shed, 3);
    (0..RECENT_LOOKS).for_each(|_| recents.note(&answers(103)));
    assert_eq!((recents.counts().shed, recents.0.len()), (0, RECENT_LOOKS + 1));
}

#[test]
fn taps_that_are_shed_while_others_win_are_no_alarm() {
    let alarms = |won| {
        let recent = Recent { won, shed: 9, all: 20, seconds: 10, ..Recent::default() };
        of_gateway(&status(), &[], recent, Instant::now())
            .iter()
            .map(|alarm| alarm.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!((alarms(0), alarms(1)), (vec!["shedding".to_owned()], Vec::new()));
}

#[test]
fn a_proxy_is_missing_in_the_list_if_most_requests_name_a_client() {
    for (ignored, all, is_so) in
        [(19, 19, false), (20, 39, true), (20, 40, false), (60, 100, true), (5_000, 1_000_000, false)]
    {
        assert_eq!(is_proxy_unlisted(ignored, all), is_so, "{ignored} of {all}");
    }
}

#[test]
fn the_worst_alarm_comes_first_and_texts_are_bounded() {
    let reasons = ["x".repeat(1_000)];
    let recent =
        Recent { won: 0, shed: 3, unknown: 2, internal: 1, forwarded_ignored: 60, all: 100, seconds: 10 };
    let alarms = of_gateway(&status(), &reasons, recent, Instant::now());
    let names: Vec<_> = alarms.iter().map(|alarm| (alarm.level, alarm.name.as_str())).collect();
    assert_eq!(
        names,
        [
            (Level::Fault, "bug"),
            (Level::Warning, "not-ready"),
            (Level::Warning, "proxy-unlisted"),
            (Level::Warning, "outcome-unknown"),
            (Level::Warning, "shedding"),
        ]
    );
    assert_eq!(alarms[1].text.chars().count(), ALARM_CHARS_MAX + 1);
    assert_eq!(
        alarms.iter().map(|alarm| alarm.count).collect::<Vec<_>>(),
        [Some(1), None, None, Some(2), Some(3)]
    );
}
