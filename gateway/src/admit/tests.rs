//! Tests of what the read model refuses, and what it must leave to the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::admit::{AdmissionRequest, TapAdmission};
use crate::domain::decision::Decision;
use crate::domain::identity::BuyerHash;
use crate::projection::read_model::Sale;

/// `model:a`, `package:p`, `package:q` without a limit, `store:s`.
const DEFINITION: &str = r#"{
    "sale": {"id": "fixture", "name": "A sale", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-01-01T00:00:00Z",
             "hold": "15m", "grace": "60s", "per_buyer": 1, "attempts": 5, "currency": "CNY", "deposit": 1},
    "model": [{"id": "a", "name": "A", "price": 1, "stock": 10}],
    "package": [{"id": "p", "name": "P", "price": 1, "stock": 10}, {"id": "q", "name": "Q", "price": 1}],
    "stores": [{"id": "s", "name": "S", "city": "Guangzhou", "capacity": 10}]
}"#;
const ITEMS: [(&str, bool); 4] =
    [("model:a", true), ("package:p", true), ("package:q", false), ("store:s", true)];
const OPENS: i64 = 1_767_225_600_000;
const CLOSES: i64 = 1_798_761_600_000;

fn sale(free: &[i64], time: i64, error_ms: i64) -> Arc<Sale> {
    Sale::fixture(DEFINITION, free, (time, error_ms))
}

/// The refusal of a tap for all items with this arrival; `None`: it goes to the ledger.
fn refusal(sale: &Arc<Sale>, accept_partial: bool, arrived: Instant) -> Option<Decision> {
    let (packages, sub) = (["p", "q"], "ada".into());
    let request = AdmissionRequest { model: "a", packages: &packages, store: Some("s"), accept_partial };
    let admission = TapAdmission::new(sale, &sub, "key", request, arrived);
    let now = Instant::now();
    let may_be_refused = admission.may_be_refused(now);
    let refusal = admission.admit(now).err().map(|(refusal, _)| refusal);
    assert!(may_be_refused || refusal.is_none(), "it would have been waited for");
    refusal
}

proptest! {
    /// With `accept_partial` the model alone decides; without a limit nothing is ever gone.
    #[test]
    fn a_tap_is_refused_for_exactly_what_keeps_it_from_winning(
        free in vec(-1_i64..3, ITEMS.len()),
        accept_partial in any::<bool>(),
    ) {
        let sale = sale(&free, OPENS + 60_000, 0);
        let arrived = Instant::now();
        sale.complete_for_test(arrived);
        let gone = ITEMS.iter().zip(&free).filter(|((_, limited), free)| *limited && **free < 1);
        let gone = gone.map(|((name, _), _)| (*name).to_owned());
        let counts = |name: &String| !accept_partial || name.starts_with("model:");
        let items: Vec<String> = gone.filter(counts).collect();
        let expected = (!items.is_empty()).then_some(Decision::SoldOut { items, is_final: false });
        prop_assert_eq!(refusal(&sale, accept_partial, arrived), expected);
    }
}

#[test]
fn a_model_that_is_older_than_the_tap_refuses_nothing() {
    let sale = sale(&[0; 4], OPENS + 60_000, 0);
    let arrived = Instant::now();
    assert_eq!(refusal(&sale, false, arrived), None, "no read has ended");
    sale.complete_for_test(arrived - Duration::from_nanos(1));
    assert_eq!(
        refusal(&sale, false, arrived),
        None,
        "it has what was decided before the tap, but for the last moment"
    );
    sale.complete_for_test(arrived);
    assert!(refusal(&sale, false, arrived).is_some());
    // A read that began earlier does not make the model older.
    sale.complete_for_test(arrived - Duration::from_secs(1));
    assert!(refusal(&sale, false, arrived).is_some());
}

#[test]
fn a_sale_that_is_fenced_or_unreadable_refuses_nothing() {
    for is_fault in [true, false] {
        let sale = sale(&[0; 4], OPENS + 60_000, 0);
        let arrived = Instant::now();
        sale.complete_for_test(arrived);
        assert!(refusal(&sale, false, arrived).is_some());
        sale.set_fault_for_test(is_fault);
        assert_eq!(refusal(&sale, false, arrived), None, "fault: {is_fault}");
    }
}

#[test]
fn inside_the_margin_of_the_clock_the_ledger_decides_the_phase() {
    // The estimate advances while this test runs; a margin of an hour is far above that.
    let hour = 3_600_000;
    let at = |time| {
        let (sale, arrived) = (sale(&[5; 4], time, hour), Instant::now());
        sale.complete_for_test(arrived);
        refusal(&sale, false, arrived)
    };
    assert!(matches!(at(OPENS - 2 * hour), Some(Decision::NotOpen(_))));
    assert_eq!(at(OPENS - hour / 2), None, "it may be open");
    assert_eq!(at(OPENS + hour / 2), None, "it may be open");
    assert_eq!(at(CLOSES - hour / 2), None);
    assert_eq!(at(CLOSES + hour / 2), None, "it may not be closed");
    assert_eq!(at(CLOSES + 2 * hour), Some(Decision::Closed));
}

#[test]
fn a_sale_that_requires_a_sign_up_refuses_who_has_none_before_what_is_gone() {
    let signup =
        r#""signup": {"opens_at": "2025-01-01T00:00:00Z", "closes_at": "2025-12-01T00:00:00Z", "required": "#;
    let taking = |required: bool, free: i64| {
        let definition = DEFINITION.replacen('{', &format!("{{{signup}{required}}},"), 1);
        Sale::fixture(&definition, &[free; ITEMS.len()], (OPENS + 60_000, 0))
    };
    let sold_out = || {
        let items = ["model:a", "package:p", "store:s"].map(str::to_owned).to_vec();
        Some(Decision::SoldOut { items, is_final: false })
    };
    let mark = BuyerHash::new("fixture", "ada").mark();
    for (sign_ups, required, in_stock, gone) in [
        (&[][..], true, Some(Decision::NotSignedUp), Some(Decision::NotSignedUp)),
        (&[(mark, true)], true, None, sold_out()),
        (&[(mark, true), (mark, false)], true, None, None),
        (&[], false, None, sold_out()),
    ] {
        for (free, expected) in [(1, in_stock), (0, gone)] {
            let sale = taking(required, free);
            sale.add_sign_ups(sign_ups.iter().copied());
            let arrived = Instant::now();
            sale.complete_for_test(arrived);
            assert_eq!(refusal(&sale, false, arrived), expected, "{sign_ups:?} {required} {free}");
        }
    }
}
