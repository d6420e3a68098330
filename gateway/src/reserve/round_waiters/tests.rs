//! Unit tests of `round_waiters.rs`.

use std::task::Waker;

use super::*;

/// Polls a request once.
fn poll(wait: &mut RoundWait) -> bool {
    Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

fn waiting(list: &Rc<WaitList>, arrived: Instant) -> RoundWait {
    RoundWait { list: list.clone(), arrived, position: None }
}

#[test]
fn a_round_releases_earlier_requests_in_order_a_few_at_a_time() {
    let (list, start) = (Rc::new(WaitList::default()), Instant::now());
    let at = |n: u64| start + Duration::from_millis(n);
    let mut waits: Vec<RoundWait> = (0..10).map(|n| waiting(&list, at(n))).collect();
    assert!(waits.iter_mut().all(|wait| !poll(wait)));
    assert!(list.release(Some(at(6)), 4), "there are more");
    let ready: Vec<bool> = waits.iter_mut().map(poll).collect();
    assert_eq!(ready, [[true; 4].as_slice(), &[false; 6]].concat());
    assert!(!list.release(Some(at(6)), 4));
    let ready: Vec<bool> = waits.iter_mut().map(poll).collect();
    assert_eq!(ready, [[true; 7].as_slice(), &[false; 3]].concat());
    // A request that is polled again keeps its position; one that has left does not delay others.
    waits.truncate(8);
    assert!(!poll(&mut waits[7]));
    assert!(!list.release(None, 4));
    assert!(poll(&mut waits[7]));
    assert!(list.waiting.borrow().is_empty());
}

#[test]
fn a_full_list_sends_the_next_request_to_the_ledger() {
    let (list, now) = (Rc::new(WaitList::default()), Instant::now());
    assert!((0..REFUSALS_MAX).all(|_| !poll(&mut waiting(&list, now))));
    assert!(poll(&mut waiting(&list, now)));
    list.release(None, 1);
    assert!(!poll(&mut waiting(&list, now)));
}

#[test]
fn a_dropped_list_releases_all_requests() {
    crate::runtime::run(async {
        let refusals = RoundWaiters::start(Sale::fixture(DEFINITION, &[0], (0, 0)));
        let wait = refusals.wait(Instant::now() + Duration::from_secs(3_600));
        futures_util::future::join(wait, async { drop(refusals) }).await;
    })
    .unwrap();
}

const DEFINITION: &str = r#"{
    "sale": {"id": "fixture", "name": "A sale", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-01-01T00:00:00Z",
             "hold": "15m", "grace": "60s", "per_buyer": 1, "attempts": 5, "currency": "CNY", "deposit": 1},
    "model": [{"id": "a", "name": "A", "price": 1, "stock": 10}], "stores": []
}"#;
