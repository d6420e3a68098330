//! Tests the progress text of made-up figures.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use jiff::SignedDuration;

use super::*;
use crate::base::outcome::Outcome;
use crate::base::scenario::Scenario;

fn ended(figures: &mut Figures, times: usize, scenario: Scenario, outcome: Outcome, ms: u64) {
    (0..times).for_each(|_| figures.ended(scenario, outcome, 0, Duration::from_millis(ms)));
}

/// A second of a launch, and the next one.
fn two_seconds() -> [Snapshot; 2] {
    let mut figures = Figures::default();
    ended(&mut figures, 10, Scenario::SPIKE, Outcome::Won, 2_000);
    ended(&mut figures, 5, Scenario::SPIKE, Outcome::SoldOut, 3_000);
    figures.started(0, 900_000, Duration::ZERO, Duration::from_millis(250));
    let first = Snapshot::of(&figures);
    ended(&mut figures, 30, Scenario::SPIKE, Outcome::Won, 5);
    ended(&mut figures, 10, Scenario::CROWD, Outcome::Replayed, 5);
    ended(&mut figures, 1, Scenario::CROWD, Outcome::Shed, 5);
    ended(&mut figures, 400, Scenario::BOTS, Outcome::Refused, 9_000);
    figures.retries = 7;
    [first, Snapshot::of(&figures)]
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
        "open for 12 s, 2960 left: won 15  replayed 5  shed 1  bots 200, p99 winners 5.0 ms  losers none, \
         started 1  late 1  unsent 0  retries 7\n"
    );
}

#[test]
fn before_the_opening_it_counts_down() {
    let nothing = Snapshot::of(&Figures::default());
    let early = Frame {
        since_opening: SignedDuration::from_millis(-11_001),
        stock_left: None,
        ..frame(&nothing, &nothing)
    };
    assert_eq!(
        Screen::plain().draw(&early),
        "opens in 12 s: no outcome, p99 winners none  losers none, started 0  late 0  unsent 0  retries 0\n"
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
    assert!(screen.draw(&sold).contains("2959 left: no outcome"));
    assert!(screen.draw(&frame(&now, &earlier)).contains("retries 0"));
}

#[test]
fn a_terminals_block_is_redrawn_in_place() {
    let [earlier, now] = two_seconds();
    let mut screen = Screen::terminal(Box::new(|| 80));
    let block = "\r\x1b[2Kopen for 12 s, 2960 left\n\
         \r\x1b[2Ka second  won 15  replayed 5  shed 1  bots 200\n\
         \r\x1b[2Kp99       winners 5.0 ms  losers none\n\
         \r\x1b[2Kso far    won 40  replayed 10  sold_out 5  shed 1  bots 400\n\
         \r\x1b[2Kstarts    started 1  late 1  unsent 0  retries 7\n";
    assert_eq!(screen.draw(&frame(&earlier, &now)), block);
    assert_eq!(screen.draw(&frame(&earlier, &now)), format!("\x1b[5A{block}"));
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
        assert_eq!(lines.len(), 5);
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
    View { figures: figures.clone(), opening: Instant::now(), stock_left: Some(Box::new(|| Some(8))) }
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
