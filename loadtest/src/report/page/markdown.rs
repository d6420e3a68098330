//! The page as Markdown, for where HTML isn't shown: a ticket, a pull request, a terminal.

use std::fmt::Write;

use crate::report::page::{Page, Section, Table};

impl Page {
    /// The whole file. Pictures become their words.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "# {}\n\n**{}** {}\n",
            escaped(&self.title),
            escaped(&self.verdict_word),
            escaped(&self.sentence)
        );
        paragraphs(&mut text, &self.lead);
        if !self.links.is_empty() {
            let links = self.links.iter().map(|(what, file)| format!("[{}]({file})", escaped(what)));
            let _ = write!(text, "\n{}\n", links.collect::<Vec<_>>().join(" · "));
        }
        for section in &self.sections {
            section.markdown(&mut text);
        }
        text
    }
}

impl Section {
    fn markdown(&self, text: &mut String) {
        let _ = write!(text, "\n## {}\n", escaped(&self.title));
        paragraphs(text, &self.text);
        if let Some(table) = self.table.as_ref().filter(|table| !table.head.is_empty()) {
            table.markdown(text);
        }
        if let Some(picture) = &self.picture {
            let _ = write!(text, "\n*{}:* {}\n", escaped(&picture.title), escaped(&picture.describes));
        }
        if let Some(verbatim) = &self.verbatim {
            let fence = fence(verbatim);
            let _ = write!(text, "\n{fence}text\n{}\n{fence}\n", verbatim.trim_end_matches('\n'));
        }
    }
}

impl Table {
    /// Each row has as many cells as the head: what is beyond would not be shown.
    fn markdown(&self, text: &mut String) {
        let line = |cells: &[String]| {
            let cells =
                (0..self.head.len()).map(|n| cells.get(n).map(|cell| escaped(cell)).unwrap_or_default());
            format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
        };
        let rule = (0..self.head.len()).map(|n| if self.numbers.contains(&n) { "---:" } else { "---" });
        let _ = write!(text, "\n{}\n| {} |\n", line(&self.head), rule.collect::<Vec<_>>().join(" | "));
        for row in &self.rows {
            let _ = writeln!(text, "{}", line(row));
        }
    }
}

fn paragraphs(text: &mut String, paragraphs: &[String]) {
    for paragraph in paragraphs {
        let _ = write!(text, "\n{}\n", escaped(paragraph));
    }
}

/// Longer than any row of backticks in the text, so that none of them ends it.
fn fence(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Text that stays text, on one line: in a paragraph, a heading and a cell of a table alike.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    // A number with a dot, or one of these signs, begins a list, a heading or a rule, but only where a line begins.
    let line = text.trim_start();
    let marker = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let mut letters = marker.chars();
    let (first, next) = (letters.next(), letters.next());
    let ends = next.is_none_or(char::is_whitespace);
    let begins = match first {
        Some('.' | ')') => ends && marker.len() < line.len(),
        Some('#' | '+' | '-') => (ends || next == first) && marker.len() == line.len(),
        _ => false,
    };
    let marker_at = begins.then(|| text.len() - marker.len());
    for (at, letter) in text.char_indices() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '$' => {
                escaped.extend(['\\', letter])
            }
            _ if marker_at == Some(at) => escaped.extend(['\\', letter]),
            space if space.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_markup_stays_text() {
        let cases = [
            ("a|b_c*d", "a\\|b\\_c\\*d"),
            ("<script>&amp;", "\\<script\\>\\&amp;"),
            ("two\nlines", "two lines"),
            ("# no heading", "\\# no heading"),
            ("1. no list", "1\\. no list"),
            ("- no list", "\\- no list"),
            ("1.5 ms - 2 ms #3", "1.5 ms - 2 ms #3"),
            ("-5", "-5"),
            ("---", "\\---"),
        ];
        for (text, written) in cases {
            assert_eq!(escaped(text), written);
        }
    }

    #[test]
    fn a_text_with_backticks_does_not_end_its_fence() {
        assert_eq!(
            (fence("plain"), fence("a ``` b `"), fence("")),
            ("```".into(), "````".into(), "```".into())
        );
    }
}
