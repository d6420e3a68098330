//! Unit tests of `queue.rs`.

use futures_util::FutureExt;

use super::*;
use crate::admit::Admitted;
use crate::domain::decision::{Decision, ReserveCommand};
use crate::projection::read_model::Sale;
use crate::reserve::batch::Deadlines;

const MS: Duration = Duration::from_millis(1);
const ONE_CAR: &str = r#"{
    "sale": {"id": "fixture", "name": "A sale", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-01-01T00:00:00Z",
             "hold": "15m", "grace": "60s", "per_buyer": 1, "attempts": 5, "currency": "CNY", "deposit": 1},
    "model": [{"id": "a", "name": "A", "price": 1, "stock": 10}],
    "stores": [{"id": "s", "name": "S", "city": "Guangzhou", "capacity": 10}]
}"#;

/// The immediate decision for a tap that comes this long after the first; `None`: it waits.
fn push(queue_under_test: &ReserveQueue<Admitted>, first: Instant, after: Duration) -> Option<Decision> {
    let sale = Sale::fixture(ONE_CAR, &[10, 10], (0, 0));
    let command = ReserveCommand {
        id: "id".to_owned(),
        sub: "ada".into(),
        fingerprint: "f".to_owned(),
        model: "a".to_owned(),
        packages: Vec::new(),
        store: Some("s".to_owned()),
        accept_partial: false,
    };
    let queued = first + after;
    let late = queued + queue_under_test.limits.delay_max;
    let (tap, answer) = Tap::new(
        Admitted { command, pending: sale.add_pending(1) },
        Deadlines { queued, send: late, answer: late },
    );
    queue_under_test.push(tap);
    answer.now_or_never()
}

#[test]
fn a_tap_is_shed_at_once_if_its_predicted_wait_exceeds_half_of_the_limit() {
    let limits = QueueLimits { batch_max: 2, queue_max: 6, delay_max: 100 * MS };
    let queue_under_test = ReserveQueue::new(limits, Arc::default());
    queue_under_test.note_service_time(30 * MS);
    let first = Instant::now();
    let push_at_start = |times: usize| -> Vec<_> {
        (0..times).map(|_| push(&queue_under_test, first, Duration::ZERO)).collect()
    };
    // Two are in the next batch, two wait for one batch, the next would wait for two: 60 ms.
    assert_eq!(push_at_start(4), [const { None }; 4]);
    let delay = Some(Decision::NotTaken(Shed::Delay));
    assert_eq!(push_at_start(2), [delay.clone(), delay.clone()]);
    // A faster ledger makes the queue as long as its size limit again.
    (0..16).for_each(|_| queue_under_test.note_service_time(MS));
    assert_eq!(push(&queue_under_test, first, 51 * MS), delay, "the first one has waited for so long");
    let queue = Some(Decision::NotTaken(Shed::Queue));
    assert_eq!(push_at_start(3), [None, None, queue]);
}

#[test]
fn the_predicted_wait_covers_the_batches_before() {
    let service_time = ServiceTime::default();
    assert_eq!(service_time.predict(1_000), Duration::ZERO, "nothing is known yet");
    let service_time = service_time.with(10 * MS);
    assert_eq!(
        (service_time.predict(0), service_time.predict(1), service_time.predict(7)),
        (Duration::ZERO, 10 * MS, 70 * MS)
    );
    assert_eq!(service_time.predict(usize::MAX), 10 * MS * u32::MAX);
}

#[test]
fn the_estimate_recovers_from_one_slow_batch_and_follows_a_slower_ledger() {
    let usual = ServiceTime::default().with(10 * MS);
    let hung = usual.with(Duration::from_secs(1));
    assert!(hung.predict(1) > 200 * MS);
    assert_eq!(hung.predict(0), Duration::ZERO);
    let again = (0..16).fold(hung, |service_time, _| service_time.with(10 * MS));
    assert!(again.predict(1) < 13 * MS, "{again:?}");
    let slower = (0..16).fold(usual, |service_time, _| service_time.with(40 * MS));
    assert!(slower.predict(1) > 39 * MS, "{slower:?}");
}
