//! Tests the signs of life with real runtimes, one of which is blocked.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::*;
use crate::runtime;

/// A runtime on a thread of its own that turns until something is sent, and then blocks for good.
fn turning(pulse: Pulse) -> Sender<()> {
    let (block, blocked) = channel();
    std::thread::spawn(move || {
        runtime::run_observed(pulse, async move {
            while blocked.try_recv().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // The thread waits, and with it everything on its runtime.
            let _ = blocked.recv();
        })
        .unwrap();
    });
    block
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..60_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("{what}");
}

#[test]
fn a_blocked_runtime_ends_the_signs_of_life() {
    let mut manager =
        ServiceManager { watchdog: Some(Duration::from_millis(16)), is_there: true, pulses: Vec::new() };
    let (one, other) = (manager.add_pulse(), manager.add_pulse());
    let _turning = turning(one.clone());
    let block = turning(other.clone());
    let mut beats = Beats::default();
    for _ in 0..3 {
        wait_until("both turn", || beats.all_went_on(&manager.pulses));
    }
    block.send(()).unwrap();
    // The first one goes on; the other one, once it is blocked, does not.
    let (mut still, mut before) = (0, other.count());
    wait_until("the blocked one has stopped", || {
        let now = other.count();
        still = if now == before { still + 1 } else { 0 };
        before = now;
        still > 1_000
    });
    beats.all_went_on(&manager.pulses);
    let at = one.count();
    wait_until("the first one goes on", || one.count() > at + 3);
    assert!(!beats.all_went_on(&manager.pulses));
}

#[test]
fn the_status_is_one_line() {
    assert_eq!(status(&[]), "ready");
    let reasons = ["Redis\nis away".to_owned(), "x".repeat(1_000)];
    let text = status(&reasons);
    assert!(
        text.starts_with("not ready: Redis is away; xxx") && text.chars().count() == STATUS_CHARS_MAX,
        "{text}"
    );
}

#[test]
fn without_a_watchdog_no_runtime_has_more_to_do() {
    let mut manager = ServiceManager { watchdog: None, is_there: true, pulses: Vec::new() };
    let pulse = manager.add_pulse();
    // The timer needs the runtime: it is made on it.
    runtime::run_observed(pulse.clone(), async { tokio::time::sleep(Duration::from_millis(20)).await })
        .unwrap();
    assert_eq!(pulse.count(), 0);
}
