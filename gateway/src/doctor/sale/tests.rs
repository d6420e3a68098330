//! Unit tests of `sale.rs`.

use super::*;
use crate::doctor::report::{Severity, without_passing};
use crate::domain::definition::{Definition, SignupTerms};
use crate::domain::draw::DrawStage;
use crate::domain::sale::{LedgerStop, SaleControls};
use crate::manage::admin::ReaderLease;
use crate::manage::audit::{AuditReport, Counts, ItemReport};

/// 2030-01-01T00:00:00Z, an hour before it opens.
const NOW: i64 = 1_893_456_000_000;

fn small() -> Definition {
    let text = r#"{"sale": {"id": "small", "name": "S", "opens_at": "2030-01-01T01:00:00Z", "closes_at": "2030-01-03T00:00:00Z",
        "hold": "15m", "currency": "CNY"}, "model": [{"id": "a", "name": "A", "price": 1, "stock": 9}],
        "stores": [{"id": "s", "name": "S", "city": "C", "capacity": 9}]}"#;
    Definition::from_json(text.as_bytes()).unwrap()
}

fn applied() -> AppliedSale {
    let definition = small();
    let ms = jiff::Timestamp::as_millisecond;
    let (opens, closes) = (ms(definition.sale.opens_at), ms(definition.sale.closes_at));
    let controls = SaleControls { opens, closes, ..SaleControls::default() };
    AppliedSale { definition, revision: 1, sequence: 7, controls, counts: [0; 4], draw: None, stop: None }
}

fn report(verdict: Audited, drift: i64, problems: &[&str]) -> AuditReport {
    let item = ItemReport {
        item: "model:a".into(),
        total: Some(9),
        free: Some(9),
        aside: None,
        held: 0,
        confirmed: 0,
        drift,
    };
    let problems = problems.iter().map(|text| (*text).to_owned()).collect();
    let reservations = Counts::default();
    AuditReport {
        sale: "small".into(),
        sequence: 7,
        verdict,
        items: vec![item],
        reservations,
        signed_up: None,
        waiting: None,
        problems,
    }
}

fn good() -> SaleFacts {
    SaleFacts {
        id: "small".into(),
        now_ms: NOW,
        applied: Ok(Some(applied())),
        file: Some(("sale.toml".into(), small())),
        audit: Some(Ok(report(Audited::Balanced, 0, &[]))),
        readers: Vec::new(),
        last_change: Some(NOW - 120_000),
        followed: Some(Some(7)),
        is_served: true,
    }
}

fn with(change: impl FnOnce(&mut AppliedSale)) -> SaleFacts {
    let mut applied = applied();
    change(&mut applied);
    SaleFacts { applied: Ok(Some(applied)), ..good() }
}

fn bad(facts: &SaleFacts) -> Vec<(&'static str, Severity)> {
    without_passing(check(facts))
}

#[test]
fn what_was_restocked_is_reported_and_where_a_file_differs() {
    let mut restocked = report(Audited::Balanced, 0, &[]);
    restocked.items[0].total = Some(11);
    let facts = SaleFacts { audit: Some(Ok(restocked)), ..good() };
    assert_eq!(bad(&facts), [("restocks", Severity::Warn)]);
    assert!(check(&facts).iter().any(|line| line.found.contains("model:a from 9 to 11")));
    let mut other = small();
    other.models[0].price = 2;
    let facts = SaleFacts { file: Some(("sale.toml".into(), other)), ..good() };
    assert!(
        check(&facts).iter().any(|line| line.found.ends_with("in /model/0/price")),
        "{:?}",
        check(&facts)
    );
}

#[test]
fn a_sale_before_its_opening_passes() {
    assert_eq!(bad(&good()), []);
    assert_eq!(bad(&SaleFacts { followed: None, file: None, audit: None, is_served: false, ..good() }), []);
}

#[test]
fn every_obstacle_of_a_launch_is_reported() {
    use Severity::{Fail, Warn};
    let mut other = small();
    other.models[0].stock = Some(8);
    let drift = |report| SaleFacts { audit: Some(report), ..good() };
    for (facts, check, verdict) in [
        (SaleFacts { applied: Ok(None), audit: None, ..good() }, "ledger", Fail),
        (SaleFacts { applied: Ok(None), audit: None, file: None, ..good() }, "ledger", Fail),
        (SaleFacts { applied: Err("damaged".into()), audit: None, ..good() }, "ledger", Fail),
        (SaleFacts { file: Some(("f".into(), other)), ..good() }, "file", Fail),
        (with(|of| of.stop = Some(LedgerStop::Fenced)), "epoch", Fail),
        (SaleFacts { is_served: false, ..with(|of| of.stop = Some(LedgerStop::Fenced)) }, "epoch", Warn),
        (SaleFacts { followed: Some(Some(6)), ..good() }, "read-model", Warn),
        (SaleFacts { followed: Some(None), ..good() }, "read-model", Fail),
        (with(|of| of.controls.closed = true), "controls", Fail),
        (with(|of| of.controls.paused = true), "controls", Warn),
        (with(|of| of.controls.frozen = true), "controls", Warn),
        (with(|of| of.counts = [0, 0, 0, 1]), "reservations", Warn),
        (drift(Ok(report(Audited::Drift, 1, &[]))), "audit", Fail),
        (drift(Ok(report(Audited::Drift, 0, &["a key is gone"]))), "audit", Fail),
        (drift(Err("no answer".into())), "audit", Fail),
    ] {
        assert_eq!(bad(&facts), [(check, verdict)], "{facts:?}");
    }
    // After the opening reservations are expected.
    let mut open = with(|of| of.counts = [3, 0, 0, 0]);
    open.now_ms += 7_200_000;
    assert_eq!(bad(&open), [("dates", Warn)]);
}

#[test]
fn a_draw_that_is_late_is_reported() {
    use DrawStage::{Allocated, Announced, Drawn, Fixed};
    let drawn = |stage, minutes: i64| {
        let mut definition = small();
        let closes_at = jiff::Timestamp::from_millisecond(NOW + 50 * 60_000).unwrap();
        definition.signup =
            Some(SignupTerms { opens_at: jiff::Timestamp::UNIX_EPOCH, closes_at, required: false });
        let applied = with(|of| (of.definition, of.draw) = (definition, Some(stage)));
        let lines = check(&SaleFacts { now_ms: NOW + minutes * 60_000, file: None, ..applied });
        let line = lines.into_iter().find(|line| line.check == "drawn").unwrap();
        (line.verdict, line.found, line.todo.unwrap_or_default())
    };
    let ok = |stage: DrawStage| (Severity::Ok, stage.name().to_owned(), String::new());
    assert_eq!(drawn(Announced, 49), ok(Announced), "sign-up goes on");
    assert_eq!(drawn(Fixed, 50), ok(Fixed));
    assert_eq!((drawn(Drawn, 59), drawn(Drawn, 61)), (ok(Drawn), ok(Drawn)));
    assert_eq!(drawn(Allocated, 61), ok(Allocated));
    let fail = |minutes, stage| {
        let (verdict, found, todo) = drawn(stage, minutes);
        assert_eq!(verdict, Severity::Fail, "{found}");
        (found, todo)
    };
    let (found, todo) = fail(51, Announced);
    assert_eq!(found, "announced: sign-up is over, it opens soon, and nothing is drawn");
    assert!(todo.contains("log"), "{todo}");
    let (found, todo) = fail(60, Fixed);
    assert_eq!(found, "fixed: sign-up is over, its opening has passed, and nothing is drawn");
    assert_eq!(todo, "gateway draw small --reveal FILE --beacon HEX");
}

#[test]
fn a_reader_that_vanished_or_is_stuck_is_reported() {
    let reader = ReaderLease {
        reader: "orders".into(),
        holder: "host-1:4711:3f9a".into(),
        until: NOW + 9_000,
        since: NOW - 7_200_000,
        renewed: NOW - 6_000,
        state: serde_json::json!({"lag_ms": 120, "parked": 0}),
    };
    let all = |reader: ReaderLease| {
        let lines = check(&SaleFacts { readers: vec![reader], ..good() });
        let lines = lines.into_iter().filter(|line| line.check == "readers");
        lines.map(|line| (line.verdict, line.found)).collect::<Vec<_>>()
    };
    let running = "orders: host-1:4711:3f9a for 2 h, 120 ms behind".to_owned();
    assert_eq!(all(reader.clone()), [(Severity::Ok, running.clone())]);
    let released = |hours: i64, lag_ms: u64| {
        let (renewed, state) = (NOW - hours * 3_600_000, serde_json::json!({"lag_ms": lag_ms}));
        all(ReaderLease { until: 0, renewed, state, ..reader.clone() }).remove(0)
    };
    let found = "orders: released by host-1:4711:3f9a 0 s ago, 120 ms behind".to_owned();
    assert_eq!(released(0, 120), (Severity::Ok, found));
    assert_eq!(released(25, 120).0, Severity::Ok, "a job at night");
    let found =
        "orders: released by host-1:4711:3f9a 1 d 2 h ago, 0 ms behind, and changes have been waiting since then".to_owned();
    assert_eq!(released(26, 0), (Severity::Warn, found));
    // All that there is was read.
    let renewed = NOW - 100 * 3_600_000;
    let complete =
        ReaderLease { until: 0, renewed, state: serde_json::json!({"lag_ms": 0}), ..reader.clone() };
    let nothing_new = |last_change| {
        check(&SaleFacts { readers: vec![complete.clone()], last_change, ..good() })
            .iter()
            .any(|line| line.check == "readers" && line.verdict == Severity::Ok)
    };
    assert!(nothing_new(Some(renewed)) && nothing_new(None) && !nothing_new(Some(renewed + 1)));
    let expired = ReaderLease { until: NOW - 300_000, state: serde_json::json!({}), ..reader.clone() };
    let found = "orders: the lease of host-1:4711:3f9a expired 5 min ago without a release".to_owned();
    assert_eq!(all(expired), [(Severity::Warn, found)]);
    let stuck = ReaderLease { state: serde_json::json!({"lag_ms": 120, "parked": 3}), ..reader };
    let parked = "orders: 3 reservations are parked".to_owned();
    assert_eq!(all(stuck), [(Severity::Ok, running), (Severity::Warn, parked)]);
}

#[test]
fn the_fix_names_the_sale_and_every_action() {
    let facts = with(|of| (of.controls.paused, of.controls.frozen) = (true, true));
    let line = check(&facts).into_iter().find(|line| line.check == "controls").unwrap();
    assert_eq!(line.found, "it is paused and frozen");
    assert_eq!(line.todo.as_deref(), Some("gateway sale resume small; gateway sale unfreeze small"));
    let facts = SaleFacts { applied: Ok(None), audit: None, ..good() };
    assert_eq!(check(&facts)[0].todo.as_deref(), Some("gateway sale apply sale.toml"));
}

#[test]
fn every_mistake_of_a_file_is_a_line() {
    let slips = Definition::from_json(br#"{"sale": {"id": "A"}}"#).unwrap_err();
    let lines = mistakes("sale.toml", &slips);
    assert_eq!(lines.len(), slips.len());
    assert!(lines.iter().all(|line| line.verdict == Severity::Fail && line.area == "file sale.toml"));
}
