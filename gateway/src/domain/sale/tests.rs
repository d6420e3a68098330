//! Unit tests of `sale.rs`.

use super::*;

#[test]
fn phases_have_an_order() {
    let mut controls = SaleControls { frozen: true, opens: 100, closes: 200, ..SaleControls::default() };
    assert_eq!(controls.phase(99, true), Phase::Upcoming);
    assert_eq!(controls.phase(100, true), Phase::Open);
    assert_eq!(controls.phase(100, false), Phase::SoldOut);
    assert_eq!(controls.phase(200, false), Phase::Closed);
    controls.paused = true;
    assert_eq!(controls.phase(99, false), Phase::Upcoming);
    assert_eq!(controls.phase(100, false), Phase::Paused);
    controls.closed = true;
    assert_eq!(controls.phase(99, true), Phase::Closed);
}

#[test]
fn a_tenth_left_is_low() {
    assert_eq!(Availability::of(Some(100), 11), Availability::InStock);
    assert_eq!(Availability::of(Some(100), 10), Availability::Low);
    assert_eq!(Availability::of(Some(100), 0), Availability::SoldOut);
    assert_eq!(Availability::of(Some(0), 0), Availability::SoldOut);
    assert_eq!(Availability::of(None, -12), Availability::InStock);
}
