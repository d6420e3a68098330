//! Writes a frame to stdout: in place on a terminal, line by line into a file or a pipe.

use crate::live::frame::Frame;

/// ECMA-48: cursor up (CUU), and erase the whole line (EL 2) from its first column on.
const CLEAR_LINE: &str = "\r\x1b[2K";

/// What is known of what was drawn before.
pub(super) enum Screen {
    Terminal {
        /// Asked each time: windows change.
        width: Box<dyn Fn() -> usize + Send>,
        drawn: usize,
    },
    Plain {
        last: Option<Printed>,
    },
}

/// The last plain line without its clock: a line that differs only by the clock is not printed.
type Printed = ([u64; 7], Option<u64>, bool);

impl Screen {
    pub(super) fn terminal(width: Box<dyn Fn() -> usize + Send>) -> Screen {
        Screen::Terminal { width, drawn: 0 }
    }

    pub(super) fn plain() -> Screen {
        Screen::Plain { last: None }
    }

    /// What is to be written to show this frame.
    pub(super) fn draw(&mut self, frame: &Frame<'_>) -> String {
        match self {
            Screen::Terminal { width, drawn } => {
                let mut text = if *drawn > 0 { format!("\x1b[{drawn}A") } else { String::new() };
                let (block, width) = (frame.block(), width());
                *drawn = block.len();
                for line in block {
                    text.push_str(&format!("{CLEAR_LINE}{}\n", cut(&line, width)));
                }
                text
            }
            Screen::Plain { last } => {
                let printed = Some((frame.now.sums(), frame.stock_left, frame.since_opening.is_negative()));
                if *last == printed {
                    return String::new();
                }
                *last = printed;
                format!("{}\n", frame.line())
            }
        }
    }
}

/// Cuts a line that would wrap: the cursor would not return to its row. Each letter of the text takes one
/// column.
fn cut(line: &str, width: usize) -> &str {
    line.char_indices().nth(width).map_or(line, |(end, _)| &line[..end])
}

#[cfg(test)]
mod tests;
