//! Unit tests of `alarms.rs`.

use super::*;
use std::sync::Arc;

use crate::domain::draw::{Secret, Seed};
use crate::fleet::alarm::ALARM_CHARS_MAX;
use crate::fleet::membership::Membership;
use crate::ops::status::ServedOptions;
use crate::projection::read_model::{DrawState, Drawn, Entrants, ReadModel};
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

/// 2030-01-01T01:00:00Z, when it opens.
const OPENS: i64 = 1_893_459_600_000;

/// A sale whose sign-up ends twenty minutes before its opening, with a thousand entrants, at this stage and so many seconds
/// after the opening. Nothing is free.
fn drawn(stage: DrawStage, seconds: i64) -> Arc<Sale> {
    let definition = serde_json::json!({
        "sale": {"id": "s", "name": "S", "opens_at": "2030-01-01T01:00:00Z", "closes_at": "2030-01-03T00:00:00Z", "hold": "15m",
            "currency": "CNY", "sells": "draw", "standby": true},
        "model": [{"id": "a", "name": "A", "price": 1, "stock": 10}],
        "signup": {"opens_at": "2029-12-01T00:00:00Z", "closes_at": "2030-01-01T00:40:00Z"},
        "draw": {"commitment": "0".repeat(64), "beacon": "six digits"},
    });
    let sale = Sale::fixture(&definition.to_string(), &[0], (OPENS + seconds * 1_000, 0));
    let entrants = Entrants { root: [0; 32], count: 1_000 };
    let drawn = Drawn { reveal: String::new(), beacon: String::new(), seed: Seed([0; 32]) };
    let draw = DrawState {
        secret: Secret::from_hex(&"0".repeat(64)).expect("a secret"),
        entrants: (stage as usize >= DrawStage::Fixed as usize).then_some(entrants),
        drawn: (stage as usize >= DrawStage::Drawn as usize).then_some(drawn),
    };
    let mut read_model = ReadModel::clone(&sale.read_model());
    read_model.draw = Some(Arc::new(draw));
    read_model.controls.is_drawing = stage != DrawStage::Allocated;
    sale.set_read_model(read_model);
    sale
}

#[test]
fn a_draw_that_is_late_is_an_alarm_once_sign_up_is_over_and_the_opening_is_near() {
    use DrawStage::{Allocated, Announced, Drawn, Fixed};
    let of = |stage, seconds| {
        let sale = drawn(stage, seconds);
        let found = of_draw(&sale, sale.best_time(), Instant::now());
        found.map(|(level, name, text)| (level, name, text.contains("`gateway draw`")))
    };
    let late = |level, is_fixed| Some((level, "draw-not-drawn", is_fixed));
    assert_eq!((of(Announced, -601), of(Fixed, -601)), (None, None));
    assert_eq!(of(Announced, -599), late(Level::Warning, false));
    assert_eq!((of(Fixed, -1), of(Fixed, 0)), (late(Level::Warning, true), late(Level::Fault, true)));
    assert_eq!((of(Drawn, -1), of(Allocated, 9), of(Fixed, 3 * 86_400)), (None, None, None));
}

#[test]
fn an_allocation_that_stands_still_is_an_alarm_and_one_that_goes_on_or_is_stopped_is_none() {
    let (sale, now) = (drawn(DrawStage::Drawn, 0), Instant::now());
    let after = |seconds| {
        of_draw(&sale, sale.best_time(), now + Duration::from_secs(seconds))
            .map(|(level, name, text)| (level, format!("{name}: {text}")))
    };
    assert_eq!((after(0), after(29)), (None, None));
    let text = "draw-stuck: Entrants of the draw get nothing: 0 of 1000 are allocated, and no more since 30 s. Run \
        `gateway audit fixture`, and check the log of the gateways.";
    assert_eq!(after(30), Some((Level::Fault, text.to_owned())));
    let change = |change: fn(&mut ReadModel, bool), is_so| {
        let mut read_model = ReadModel::clone(&sale.read_model());
        change(&mut read_model, is_so);
        sale.set_read_model(read_model);
    };
    change(|read_model, _| read_model.allocated = 128, true);
    assert_eq!((after(31), after(60)), (None, None));
    assert!(after(61).is_some());
    let pause = |is_paused| change(|read_model, is_paused| read_model.controls.paused = is_paused, is_paused);
    pause(true);
    assert_eq!(after(100), None);
    pause(false);
    assert_eq!((after(101), after(130)), (None, None));
    assert!(after(131).is_some());
}

#[test]
fn no_stock_is_an_alarm_before_the_opening_of_a_draw_and_none_while_it_is_allocated() {
    let names = |seconds| {
        let mut alarms = Vec::new();
        of_sale(&mut alarms, &drawn(DrawStage::Drawn, seconds), None, &[], Instant::now());
        alarms.into_iter().map(|alarm| alarm.name).collect::<Vec<_>>()
    };
    assert_eq!((names(-30), names(1)), (vec!["opening-not-ready".to_owned()], vec![]));
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
