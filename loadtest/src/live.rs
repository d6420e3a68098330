//! Shows progress once a second: redrawn in place on a terminal, otherwise as plain lines.

mod frame;
pub(crate) mod metrics;
mod screen;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use frame::{Frame, Snapshot};
use screen::Screen;

use crate::base::worker::Worker;
use crate::base::{clock, console};
use crate::figures::Figures;
use crate::self_monitoring::Traffic;

const DRAW_EVERY: Duration = Duration::from_secs(1);
/// The width if neither the terminal nor `COLUMNS` gives one.
const WIDTH_DEFAULT: usize = 80;

/// What is shown.
pub(crate) struct View {
    pub(crate) figures: Arc<Mutex<Figures>>,
    pub(crate) traffic: Traffic,
    /// The opening on this machine's clock.
    pub(crate) opening: Instant,
    /// Returns the remaining stock, if known; called once a second, so it must be fast.
    pub(crate) stock_left: Option<Box<dyn Fn() -> Option<u64> + Send>>,
}

/// Shows progress on stdout until it is finished or dropped; no other code may print meanwhile.
pub(crate) struct Live(Option<Worker>);

impl Live {
    /// Starts to draw, on a thread of its own: a terminal that is held up (Ctrl-S) holds up no load.
    pub(crate) fn start(view: View) -> Live {
        // Without it there is nothing to be seen, as where it is closed.
        let Ok(stdout) = console::stdout() else { return Live(None) };
        let of_width = stdout.try_clone();
        let screen = match of_width {
            Ok(of_width) if stdout.is_terminal() => Screen::terminal(Box::new(move || width(&of_width))),
            _ => Screen::plain(),
        };
        Live::start_on(view, screen, stdout)
    }

    fn start_on(view: View, screen: Screen, out: impl Write + Send + 'static) -> Live {
        let draw = move |stopped: &Receiver<()>| draw(&view, screen, out, stopped);
        // Without a thread there is no progress display; the load does not depend on it.
        Live(Worker::start("live", draw).ok())
    }

    /// Draws once more and ends; what is drawn stays. It waits for stdout as long as any printing would.
    pub(crate) fn finish(self) {
        if let Some(drawing) = self.0 {
            drawing.finish();
        }
    }
}

/// How wide the terminal is just now.
fn width(terminal: &File) -> usize {
    let size = terminal_size::terminal_size_of(terminal).map(|(width, _)| usize::from(width.0));
    let columns = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    size.or_else(columns).filter(|width| *width > 0).unwrap_or(WIDTH_DEFAULT)
}

/// Draws every second and at the end. A stdout that is closed ends the drawing, not the load.
fn draw(view: &View, mut screen: Screen, mut out: impl Write, stopped: &Receiver<()>) {
    let (mut since, mut earlier) = (Instant::now(), view.snapshot());
    loop {
        let over = stopped.recv_timeout(DRAW_EVERY) != Err(RecvTimeoutError::Timeout);
        let (now, snapshot) = (Instant::now(), view.snapshot());
        let frame = Frame {
            // A fraction of the last second is not scaled up.
            took: now.duration_since(since).max(DRAW_EVERY),
            since_opening: clock::between(view.opening, now),
            stock_left: view.stock_left.as_ref().and_then(|stock_left| stock_left()),
            earlier: &earlier,
            now: &snapshot,
        };
        let text = screen.draw(&frame);
        if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() || over {
            return;
        }
        (since, earlier) = (now, snapshot);
    }
}

impl View {
    /// Copies only what is shown, so that the load waits for the lock no longer than it has to.
    fn snapshot(&self) -> Snapshot {
        let in_flight = self.traffic.in_flight();
        Snapshot::of(&self.figures.lock().unwrap_or_else(PoisonError::into_inner), in_flight)
    }
}
