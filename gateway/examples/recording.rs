//! Measures what metrics cost a won reservation: every counter, stage and clock reading on its path.
//!
//! It makes the same calls as the gateway, as often as a batch of 64 makes them, and separately the
//! request id. Prints one JSON object: `recording_us` and `request_id_us`, of one reservation.

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
            // The head has arrived, and the token is verified.
            let arrived = Instant::now();
            recorder.stage(Stage::Identify, arrived.elapsed());
            // It is admitted, takes its permit, and joins the queue.
            let whole = arrived;
            let queued = Instant::now();
            recorder.stage(Stage::ReadModel, queued - whole);
            recorder.in_flight.add(1);
            recorder.waiting.add(1);
            // Its batch is taken, sent, and answered.
            recorder.waiting.sub(1);
            recorder.stage(Stage::Queue, queued - whole + Duration::from_millis(1));
            // The response is rendered.
            let decided = Instant::now();
            recorder.in_flight.sub(1);
            recorder.stage(Stage::Respond, decided.elapsed());
            recorder.answered(
                Route::Reserve,
                AnswerClass::plain(Outcome::WON),
                arrived.elapsed() + Duration::from_millis(1),
            );
        }
        recorder.batch(BATCH as usize, sent.elapsed() + Duration::from_millis(1));
    }
    assert_eq!(black_box(&recorder).requests(Route::Reserve as usize, Outcome::WON), u64::from(COUNT));
}

fn request_id() {
    let (request_headers, mut response_headers) = (HeaderMap::new(), HeaderMap::with_capacity(8));
    for _ in 0..COUNT {
        let request = RequestId::of(black_box(false), black_box(&request_headers));
        request.mark(&mut response_headers);
        black_box(&mut response_headers).clear();
    }
}
