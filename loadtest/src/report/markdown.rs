//! Writes a document in Markdown, in which texts stay texts.

use std::fmt::Write;
use std::ops::Range;

/// The document so far.
#[derive(Debug, Default)]
pub(crate) struct Markdown(pub(crate) String);

impl Markdown {
    pub(crate) fn heading(&mut self, title: &str) {
        let _ = write!(self.0, "\n## {}\n", escaped(title));
    }

    pub(crate) fn paragraph(&mut self, text: &str) {
        let text = escaped(text.trim_start());
        // Where a line begins, these signs begin a list or a heading, as does a number with one of them.
        let rest = text.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let number = &text[..text.len() - rest.len()];
        let escape = if rest.starts_with(['#', '+', '-', '.', ')']) { "\\" } else { "" };
        let _ = write!(self.0, "\n{number}{escape}{rest}\n");
    }

    /// `numbers` are the columns that are set flush right. The first cell names its row.
    pub(crate) fn table(&mut self, head: &[&str], numbers: Range<usize>, rows: &[Vec<String>]) {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let rule = |column| if numbers.contains(&column) { "---:" } else { "---" }.to_owned();
        self.0.push('\n');
        self.0 += &line(head.iter().map(|cell| escaped(cell)).collect());
        self.0 += &line((0..head.len()).map(rule).collect());
        self.0.extend(rows.iter().map(|row| line(row.iter().map(|cell| escaped(cell)).collect())));
    }

    /// Line by line, as it is.
    pub(crate) fn verbatim(&mut self, text: &str) {
        let text = text.replace(|letter: char| letter.is_control() && !"\n\t".contains(letter), "\u{fffd}");
        // Longer than any row of backticks in the text, so that none of them ends it.
        let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        let _ = write!(self.0, "\n{fence}text\n{}\n{fence}\n", text.trim_end_matches('\n'));
    }
}

/// On one line, and without markup: in a paragraph, a heading and a cell alike.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' => {
                escaped.extend(['\\', letter]);
            }
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
