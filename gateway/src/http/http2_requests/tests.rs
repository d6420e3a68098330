//! Unit tests of `http2_requests.rs`.

use futures_util::FutureExt;

use super::*;

fn chunk(in_flight: &Rc<InFlightRequests>, bytes: usize) -> Chunk {
    Chunk::new(vec![0; bytes].into(), &in_flight.begin())
}

#[test]
fn each_answer_has_its_own_clock_and_a_few_bytes_do_not_reset_it() {
    let in_flight = InFlightRequests::new();
    assert_eq!(in_flight.no_progress_since(), None);
    let mut one = chunk(&in_flight, 10_000);
    let later = Instant::now();
    let mut two = chunk(&in_flight, 10_000);
    assert!(in_flight.no_progress_since() <= Some(later), "the oldest counts");
    one.advance(PROGRESS_BYTES);
    let of_two = in_flight.no_progress_since();
    assert!(of_two >= Some(later), "the first has made progress");
    two.advance(PROGRESS_BYTES - 1);
    assert_eq!(in_flight.no_progress_since(), of_two, "too few bytes");
    let now = Instant::now();
    two.advance(1);
    one.advance(PROGRESS_BYTES);
    assert!(in_flight.no_progress_since() >= Some(now));
    // A slot is reused with a clock of its own.
    drop(one);
    let now = Instant::now();
    let three = chunk(&in_flight, 1);
    drop(two);
    assert!(in_flight.no_progress_since() >= Some(now));
    assert!(in_flight.answers.borrow().len() <= 2);
    assert!(in_flight.idle_since() >= now, "one is under way");
    drop(three);
    assert_eq!((in_flight.no_progress_since(), in_flight.unsent.get()), (None, 0));
    assert_eq!(in_flight.idle_since(), in_flight.last.get());
}

#[tokio::test]
async fn requests_wait_while_too_much_is_unsent_and_go_on_one_after_the_other() {
    let in_flight = InFlightRequests::new();
    let headers = HeaderMap::from_iter([(hyper::header::HOST, "x".repeat(100_000).parse().unwrap())]);
    let ones: Vec<InFlightRequest> = (0..4).map(|_| in_flight.begin()).collect();
    let mut full = chunk(&in_flight, UNSENT_MAX);
    let mut waits: Vec<_> = ones.iter().map(|one| Box::pin(one.room(&headers))).collect();
    let answers: Vec<_> = waits.iter_mut().map(|wait| wait.as_mut().now_or_never()).collect();
    assert_eq!(answers, [None, None, Some(false), Some(false)], "waiting requests are bounded, too");
    waits.truncate(2);
    full.advance(1);
    // The first takes the room there is; the second keeps waiting.
    assert_eq!(waits[0].as_mut().now_or_never(), Some(true));
    let taken = chunk(&in_flight, 1);
    assert_eq!(waits[1].as_mut().now_or_never(), None);
    drop(taken);
    assert_eq!(waits[1].as_mut().now_or_never(), Some(true));
    waits.clear();
    drop(full);
    assert_eq!((in_flight.waiting.get(), in_flight.unsent.get()), (0, 0));
}

#[tokio::test]
async fn a_request_cancelled_while_it_waits_wakes_the_next() {
    let in_flight = InFlightRequests::new();
    let (one, two) = (in_flight.begin(), in_flight.begin());
    let headers = HeaderMap::new();
    let full = chunk(&in_flight, UNSENT_MAX);
    let mut first = Box::pin(one.room(&headers));
    let mut second = Box::pin(two.room(&headers));
    assert_eq!(first.as_mut().now_or_never(), None);
    assert_eq!(second.as_mut().now_or_never(), None);
    drop(full);
    drop(first);
    assert_eq!(second.as_mut().now_or_never(), Some(true));
}
