//! What recording costs a reservation that is won: every counter, stage and reading of the clock that its way has.
//!
//! The very calls that the gateway makes, on counters of their own, as often as a batch of 64 makes them; and
//! besides, its request id. Prints one JSON object: `recording_us` and `request_id_us`, of one reservation.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gateway::telemetry::labels::{Outcome, Route, Stage};
use gateway::telemetry::record::{AnswerClass, Recorder};
use gateway::telemetry::request_id::RequestId;
use hyper::HeaderMap;
use serde_json::json;

/// Reservations that are recorded.
const COUNT: u32 = 4_096_000;
/// Taps in a batch.
const BATCH: u32 = 64;

fn main() {
    let recording = measure(recording);
    let request_id = measure(request_id);
    println!("{}", json!({"recording_us": recording, "request_id_us": request_id}));
}

/// Microseconds of one of [`COUNT`].
fn measure(work: fn()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6 / f64::from(COUNT)
}

fn recording() {
    let recorder = black_box(Recorder::default());
    for _ in 0..COUNT / BATCH {
        let sent = Instant::now();
        for _ in 0..BATCH {
            // The head is there; who sends it is known.
            let came = Instant::now();
            recorder.stage(Stage::Identify, came.elapsed());
            // It is admitted, gets its place, and comes into the line.
            let whole = came;
            let queued = Instant::now();
            recorder.stage(Stage::ReadModel, queued - whole);
            recorder.in_flight.add(1);
            recorder.waiting.add(1);
            // Its batch is taken, sent, and answered.
            recorder.waiting.sub(1);
            recorder.stage(Stage::Queue, queued - whole + Duration::from_millis(1));
            // It is told.
            let decided = Instant::now();
            recorder.in_flight.sub(1);
            recorder.stage(Stage::Respond, decided.elapsed());
            recorder.answered(
                Route::Reserve,
                AnswerClass::plain(Outcome::WON),
                came.elapsed() + Duration::from_millis(1),
            );
        }
        recorder.batch(BATCH as usize, sent.elapsed() + Duration::from_millis(1));
    }
    assert_eq!(black_box(&recorder).requests(Route::Reserve as usize, Outcome::WON), u64::from(COUNT));
}

fn request_id() {
    let (asked, mut told) = (HeaderMap::new(), HeaderMap::with_capacity(8));
    for _ in 0..COUNT {
        let request = RequestId::of(black_box(false), black_box(&asked));
        request.mark(&mut told);
        black_box(&mut told).clear();
    }
}
