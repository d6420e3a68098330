//! Unit tests of `record.rs`.

use super::*;

#[test]
fn a_size_counts_at_the_first_bound_that_it_does_not_exceed() {
    let recorder = Recorder::default();
    for us in [1, 250, 251, 2_500_000, 2_500_001] {
        recorder.answered(Route::Reserve, AnswerClass::plain(Outcome::WON), Duration::from_micros(us));
    }
    recorder.answered(Route::Sale, AnswerClass::plain(Outcome::OK), Duration::from_micros(7));
    let mut sums = Sums::default();
    recorder.answers(Outcome::WON).0.add_to(&mut sums);
    assert_eq!(sums.counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    assert_eq!((sums.count(), sums.sum), (5, 5_000_503_000));
    recorder.answers(Outcome::OK).1.add_to(&mut sums);
    assert_eq!((sums.count(), sums.counts[0]), (6, 3));
    assert_eq!(recorder.requests(Route::Reserve as usize, Outcome::WON), 5);
    assert_eq!(recorder.requests(Route::Sale as usize, Outcome::WON), 0);
}

#[test]
fn a_batch_counts_once_and_its_time_in_redis_for_each_of_its_taps() {
    let recorder = Recorder::default();
    recorder.batch(3, Duration::from_millis(1));
    recorder.batch(1_000, Duration::from_millis(2));
    let mut sums = Sums::default();
    recorder.batches.add_to(&mut sums);
    assert_eq!(sums.counts, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(sums.sum, 1_003);
    let mut redis = Sums::default();
    recorder.stages[Stage::Redis as usize].add_to(&mut redis);
    assert_eq!((redis.count(), redis.sum), (1_003, 3_000_000 + 2_000_000_000));
}

#[test]
fn reasons_are_counted_beside_the_outcome() {
    let recorder = Recorder::default();
    let full = AnswerClass { outcome: Outcome::OK, why: Why::Shed(Shed::Queue) };
    recorder.answered(Route::Reserve, full, Duration::ZERO);
    let limited = AnswerClass { outcome: Outcome::OK, why: Why::Limited(Policy::Gateway) };
    recorder.answered(Route::Reserve, limited, Duration::ZERO);
    assert_eq!(recorder.shed[Shed::Queue as usize].get(), 1);
    assert_eq!(recorder.limited[Policy::Gateway as usize].get(), 1);
}

#[test]
fn a_connection_is_open_until_it_has_ended() {
    let connections = Connections::default();
    connections.came();
    connections.came();
    connections.ended(Ended::SlowReader);
    assert_eq!((connections.came.get(), connections.open()), (2, 1));
    assert_eq!(connections.ended[Ended::SlowReader as usize].get(), 1);
}
