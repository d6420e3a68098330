//! Tests the progress text of made-up figures.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use jiff::SignedDuration;

use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;
use crate::figures::AnswerClass;

fn ended(figures: &mut Figures, times: usize, scenario: Scenario, outcome: Outcome, ms: u64) {
    (0..times).for_each(|_| figures.ended(scenario, outcome, 0, Duration::from_millis(ms)));
}

fn answered(figures: &mut Figures, times: usize, name: &str, us: u64) {
    let took = Duration::from_micros(us);
    (0..times).for_each(|_| figures.answered(name, 0, took, (200, AnswerClass::Decided)));
}

/// A second of a launch, and the next one.
fn two_seconds() -> [Snapshot; 2] {
    let mut figures = Figures::default();
    ended(&mut figures, 10, Scenario::SPIKE, Outcome::Won, 2_000);
    ended(&mut figures, 5, Scenario::SPIKE, Outcome::SoldOut, 3_000);
    figures.started(0, 900_000, Duration::ZERO, Duration::from_millis(250));
    answered(&mut figures, 7, "look", 90_000);
    let first = Snapshot::of(&figures, 3);
    ended(&mut figures, 30, Scenario::SPIKE, Outcome::Won, 5);
    ended(&mut figures, 10, Scenario::CROWD, Outcome::Replayed, 5);
    ended(&mut figures, 1, Scenario::CROWD, Outcome::Shed, 5);
    ended(&mut figures, 400, Scenario::BOTS, Outcome::Refused, 9_000);
    answered(&mut figures, 2_000, "look", 340);
    answered(&mut figures, 40, "reserve", 5_000);
    (0..600).for_each(|_| {
        figures.answered("reserve-by-bots", 0, Duration::from_micros(200), (429, AnswerClass::Limited));
    });
    let second = Duration::from_secs(1);
    figures.answered("reserve", 0, Duration::from_millis(5), (503, AnswerClass::Shed));
    figures.lost("look", 0, (second, second), "no answer in time");
    figures.retries = 7;
    [first, Snapshot::of(&figures, 31)]
}

fn frame<'a>(earlier: &'a Snapshot, now: &'a Snapshot) -> Frame<'a> {
    Frame {
        earlier,
        now,
        took: Duration::from_secs(2),
        since_opening: SignedDuration::from_millis(12_900),
        stock_left: Some(2960),
    }
}

#[test]
fn a_line_shows_the_difference_to_the_previous_second() {
    let [earlier, now] = two_seconds();
    assert_eq!(
        Screen::plain().draw(&frame(&earlier, &now)),
        "open for 12 s, 2960 left: 1021 requests/s (look 1001  reserve 21  and of bots 300), 31 in flight, p50 341 µs  p99 5.0 ms; \
         taps/s won 15  replayed 5  shed 1  bots 200, p99 winners 5.0 ms; \
         so far shed 1  lost 1  started 1  late 1  unsent 0  retries 7\n"
    );
}

#[test]
fn a_run_that_only_looks_shows_its_rate_latency_and_errors() {
    let mut figures = Figures::default();
    let nothing = Snapshot::of(&figures, 0);
    answered(&mut figures, 100, "look", 340);
    figures.answered("look", 0, Duration::from_micros(340), (500, AnswerClass::Failed));
    figures.started(0, 120, Duration::ZERO, Duration::from_millis(250));
    let now = Snapshot::of(&figures, 2);
    let frame = Frame { stock_left: None, ..frame(&nothing, &now) };
    assert_eq!(
        Screen::plain().draw(&frame),
        "open for 12 s: 51 requests/s, 2 in flight, p50 341 µs  p99 341 µs; so far failed 1  \
         started 1  late 0  unsent 0  retries 0  start lateness p99 120 µs\n"
    );
    let block = frame.block();
    assert_eq!(block[2], "look                   51   341 µs   341 µs        1        0        0        0");
    assert_eq!(block.len(), 6, "one name needs no sum: {block:?}");
}

#[test]
fn before_the_opening_it_counts_down() {
    let nothing = Snapshot::of(&Figures::default(), 0);
    let early = Frame {
        since_opening: SignedDuration::from_millis(-11_001),
        stock_left: None,
        ..frame(&nothing, &nothing)
    };
    assert_eq!(
        Screen::plain().draw(&early),
        "opens in 12 s: 0 requests/s, 0 in flight; so far no errors  \
         started 0  late 0  unsent 0  retries 0\n"
    );
}

#[test]
fn a_plain_line_comes_only_when_something_changed() {
    let [earlier, now] = two_seconds();
    let mut screen = Screen::plain();
    assert!(!screen.draw(&frame(&earlier, &now)).is_empty());
    let later = Frame { since_opening: SignedDuration::from_secs(99), ..frame(&now, &now) };
    assert_eq!(screen.draw(&later), "");
    let sold = Frame { stock_left: Some(2959), ..frame(&now, &now) };
    assert!(screen.draw(&sold).contains("2959 left: 0 requests/s"));
    // Requests without an end yet are seen, too.
    let waiting = Snapshot::of(&Figures::default(), 40);
    assert!(screen.draw(&frame(&waiting, &waiting)).contains("40 in flight"));
    assert!(screen.draw(&frame(&now, &earlier)).contains("retries 0"));
}

#[test]
fn a_terminals_block_is_redrawn_in_place() {
    let [earlier, now] = two_seconds();
    let mut screen = Screen::terminal(Box::new(|| 80));
    let lines = [
        "open for 12 s, 2960 left, 31 in flight",
        "request          a second      p50      p99   failed  limited     shed     lost",
        "buyers               1021   341 µs   5.0 ms        0        0        1        1",
        "look                 1001   341 µs   341 µs        0        0        0        1",
        "reserve                21   5.0 ms   5.0 ms        0        0        1        0",
        "reserve-by-bots       300   200 µs   200 µs        0      600        0        0",
        "taps a second   won 15  replayed 5  shed 1  bots 200; p99 winners 5.0 ms",
        "taps so far     won 40  replayed 10  sold_out 5  shed 1  bots 400",
        "starts so far   started 1  late 1  unsent 0  retries 7",
    ];
    let block = |lines: &[&str]| lines.iter().map(|line| format!("\r\x1b[2K{line}\n")).collect::<String>();
    // The names of requests come one after the other; the block grows with them.
    let early = screen.draw(&frame(&earlier, &earlier));
    assert_eq!(early.lines().count(), 6, "{early}");
    assert_eq!(screen.draw(&frame(&earlier, &now)), format!("\x1b[6A{}", block(&lines)));
    assert_eq!(screen.draw(&frame(&earlier, &now)), format!("\x1b[9A{}", block(&lines)));
}

#[test]
fn no_line_is_wider_than_the_terminal_is_then() {
    let [earlier, now] = two_seconds();
    let columns = Arc::new(AtomicUsize::new(20));
    let asked = columns.clone();
    let mut screen = Screen::terminal(Box::new(move || asked.load(Relaxed)));
    for width in [20, 7, 1, 80] {
        columns.store(width, Relaxed);
        let drawn = screen.draw(&frame(&earlier, &now));
        let lines: Vec<_> = drawn.lines().map(|line| line.rsplit("\x1b[2K").next().unwrap()).collect();
        assert_eq!(lines.len(), 9);
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{width}: {lines:?}");
    }
}

/// A stdout that its reader has left.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}

/// A stdout that can be read afterwards.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn view(figures: &Arc<Mutex<Figures>>) -> View {
    let (traffic, opening) = (Traffic::default(), Instant::now());
    View { figures: figures.clone(), traffic, opening, stock_left: Some(Box::new(|| Some(8))) }
}

#[test]
fn the_end_is_drawn_in_any_case() {
    let (figures, paper) = (Arc::<Mutex<Figures>>::default(), Paper::default());
    let live = Live::start_on(view(&figures), Screen::plain(), paper.clone());
    ended(&mut figures.lock().unwrap(), 3, Scenario::SPIKE, Outcome::Won, 5);
    live.finish();
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    assert!(text.ends_with('\n') && text.contains(", 8 left: ") && !text.contains('\x1b'), "{text}");
}

#[test]
fn a_closed_stdout_ends_the_drawing_and_nothing_else() {
    let figures = Arc::<Mutex<Figures>>::default();
    // The failed write alone ends it.
    let (_stop, stopped) = std::sync::mpsc::channel();
    draw(&view(&figures), Screen::plain(), Closed, &stopped);
    Live::start_on(view(&figures), Screen::terminal(Box::new(|| WIDTH_DEFAULT)), Closed).finish();
}
